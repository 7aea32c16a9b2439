"""Errors as a person sees them."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from moldau.cli.errors import CliError, Exit, describe, kafka_error
from moldau.client.errors import NotFound, Unreachable
from moldau.core.base.errors import InvariantBroken


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, Exit.NOT_FOUND),
        (KafkaError.GROUP_ID_NOT_FOUND, Exit.NOT_FOUND),
        (KafkaError._UNKNOWN_PARTITION, Exit.NOT_FOUND),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Exit.DENIED),
        (KafkaError._AUTHENTICATION, Exit.DENIED),
        (KafkaError._TRANSPORT, Exit.TIMEOUT),
        (KafkaError._TIMED_OUT, Exit.TIMEOUT),
        (KafkaError.REQUEST_TIMED_OUT, Exit.TIMEOUT),
        (KafkaError._INVALID_ARG, Exit.USAGE),
        (KafkaError.TOPIC_ALREADY_EXISTS, Exit.ERROR),
    ],
)
def test_kafkas_codes(code: int, expected: Exit) -> None:
    shown = describe(KafkaException(KafkaError(code, "the cause")))
    assert shown is not None
    assert (shown.code, shown.message) == (expected, "the cause")
    assert shown.hint is not None or expected is Exit.ERROR


def test_errors_of_the_client_layer() -> None:
    missing, silent = describe(NotFound("topic x is not there")), describe(Unreachable("nobody"))
    assert missing is not None
    assert missing.code is Exit.NOT_FOUND
    assert silent is not None
    assert silent.code is Exit.TIMEOUT
    assert "moldau serve" in (silent.hint or "")


def test_bugs_are_not_described() -> None:
    assert describe(InvariantBroken("bug")) is None
    assert describe(ValueError("bug")) is None
    assert kafka_error(ValueError()) is None
    assert kafka_error(KafkaException("only text")) == (1, "only text")


def test_a_described_error_is_itself() -> None:
    error = CliError("x")
    assert describe(error) is error
