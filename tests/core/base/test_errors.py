"""Kafka's codes and what clients make of them."""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode, KafkaError, MoldauError


def test_codes_are_kafkas_numbers_and_know_whether_clients_try_again() -> None:
    assert ErrorCode.NOT_LEADER_OR_FOLLOWER == 6
    assert ErrorCode.NOT_LEADER_OR_FOLLOWER.retriable
    assert not ErrorCode.MESSAGE_TOO_LARGE.retriable
    assert not ErrorCode.NONE


def test_an_error_carries_its_code_and_reads_as_its_message() -> None:
    error = KafkaError(ErrorCode.INVALID_REQUEST, "no such thing")
    assert isinstance(error, MoldauError)
    assert (error.code, str(error)) == (ErrorCode.INVALID_REQUEST, "no such thing")
    assert str(KafkaError(ErrorCode.INVALID_CONFIG)) == "INVALID_CONFIG"
