"""What a failed command says and how it exits. Nobody sees a traceback for something they can put right.

0 ok · 1 error · 2 usage · 3 not found · 4 denied · 5 timeout, or no broker answers · 6 a check failed
"""

from __future__ import annotations

import sys
from enum import IntEnum

from moldau.client.errors import NotFound, Unreachable
from moldau.core.base.errors import ConfigError, StorageError


class Exit(IntEnum):
    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    TIMEOUT = 5
    CHECK_FAILED = 6
    INTERRUPTED = 130


class CliError(Exception):
    """`message` names the cause, `hint` the next command to try."""

    def __init__(self, message: str, *, hint: str | None = None, code: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


# Kafka's codes, and librdkafka's own (negative): its documentation of rd_kafka_resp_err_t.
_NOT_FOUND = frozenset({3, 69, 91, 100, -188, -190})
_DENIED = frozenset({29, 30, 31, 53, 58, 65, -169})
_TIMEOUT = frozenset({7, -166, -185, -187, -192, -195})
_USAGE = frozenset({-186})  # _INVALID_ARG: a client setting that cannot be

_NO_BROKER = "`moldau serve` starts a broker; -b HOST:PORT or MOLDAU_BOOTSTRAP names another address"
_WHAT_IS_THERE = "`moldau topic list` and `moldau group list` show what is there"


def describe(error: BaseException) -> CliError | None:
    """The error as a person should see it; None for what is a bug of ours."""
    if isinstance(error, CliError):
        return error
    if isinstance(error, Unreachable):
        return CliError(str(error), code=Exit.TIMEOUT, hint=_NO_BROKER)
    if isinstance(error, NotFound):
        return CliError(str(error), code=Exit.NOT_FOUND, hint=_WHAT_IS_THERE)
    if isinstance(error, ConfigError):
        return CliError(str(error), code=Exit.USAGE)
    if isinstance(error, (StorageError, OSError)):
        return CliError(str(error))
    kafka = kafka_error(error)
    return None if kafka is None else _from_kafka(*kafka)


def kafka_error(error: BaseException) -> tuple[int, str] | None:
    """(code, text) of confluent-kafka's exceptions, without importing it when nobody has."""
    library = sys.modules.get("confluent_kafka")
    if library is None or not isinstance(error, library.KafkaException) or not error.args:
        return None
    inner = error.args[0]
    return (inner.code(), inner.str() or inner.name()) if isinstance(inner, library.KafkaError) else (1, str(inner))


def _from_kafka(code: int, text: str) -> CliError:
    if code in _NOT_FOUND:
        return CliError(text, code=Exit.NOT_FOUND, hint=_WHAT_IS_THERE)
    if code in _DENIED:
        return CliError(text, code=Exit.DENIED, hint="give credentials with --command-config FILE")
    if code in _TIMEOUT:
        return CliError(text, code=Exit.TIMEOUT, hint=_NO_BROKER)
    if code in _USAGE:
        return CliError(text, code=Exit.USAGE, hint="-X takes the setting names of librdkafka")
    return CliError(text)
