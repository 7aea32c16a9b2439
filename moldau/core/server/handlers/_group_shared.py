"""What the handlers of groups share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.waiting import mapped

T = TypeVar("T")
R = TypeVar("R")

# Without an authorizer: all that may be done with a group (a bit per Kafka's AclOperation code).
GROUP_OPERATIONS = 3400


def answered(
    answer: T | ErrorCode | Pending[T | ErrorCode], accepted: Callable[[T], R], refused: Callable[[ErrorCode], R]
) -> R | Pending[R]:
    """The response to what the coordinator answers, now or later."""

    def respond(value: T | ErrorCode) -> R:
        return refused(value) if isinstance(value, ErrorCode) else accepted(value)

    return mapped(answer, respond)  # type: ignore[arg-type]  # a Pending is never a T


def client_host(host: str) -> str:
    """A client's address as groups show it: Kafka stores Java's form, with a slash."""
    return f"/{host}"
