"""The values that groups are asked with: what they are without being told."""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.coordinators.group.asks import FetchedOffset, FetchedTopic, JoinAnswer


def test_a_refused_join_names_no_generation() -> None:
    answer = JoinAnswer(error=ErrorCode.UNKNOWN_MEMBER_ID)
    assert (answer.generation, answer.member_id, answer.leader, answer.members) == (-1, "", "", ())


def test_no_position_is_minus_one_without_an_error() -> None:
    assert FetchedOffset(3) == (3, -1, -1, "", ErrorCode.NONE)
    assert FetchedTopic("t").topic_id == bytes(16)
