"""What the handlers of groups share."""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.server.handlers._group_shared import GROUP_OPERATIONS, answered, client_host


def respond(answer: int | ErrorCode | Pending[int | ErrorCode]) -> str | Pending[str]:
    return answered(answer, str, lambda error: error.name)


def test_an_answer_and_a_refusal_become_a_response_each() -> None:
    assert respond(3) == "3"
    assert respond(ErrorCode.NOT_COORDINATOR) == "NOT_COORDINATOR"


def test_so_they_do_later() -> None:
    answer: Pending[int | ErrorCode] = Pending()
    response = respond(answer)
    assert isinstance(response, Pending)
    answer.complete(ErrorCode.NOT_COORDINATOR)
    assert response.value == "NOT_COORDINATOR"


def test_kafkas_forms() -> None:
    assert client_host("::1") == "/::1"
    # READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS
    assert sum(1 << code for code in (3, 6, 8, 10, 11)) == GROUP_OPERATIONS
