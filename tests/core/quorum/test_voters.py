"""Voter sets and their arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.quorum.voters import (
    ReplicaKey,
    Voter,
    VoterEndpoint,
    VoterSet,
    from_record,
    leader_change_voters,
    to_record,
)


def voters(count: int) -> VoterSet:
    return VoterSet(tuple(Voter(ReplicaKey(id, bytes([id] * 16))) for id in range(1, count + 1)))


@pytest.mark.parametrize(("count", "majority"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_majorities(count: int, majority: int) -> None:
    assert voters(count).majority == majority


def test_only_voters_count() -> None:
    assert voters(3).agrees({1, 3})
    assert not voters(3).agrees({1, 9})
    assert voters(1).agrees({1})


def test_one_voter_agrees_with_itself() -> None:
    assert voters(1).agreed_offset({1: 42}) == 42
    assert voters(1).agreed_offset({}) == 0


@given(st.integers(1, 7), st.data())
def test_a_majority_has_reached_the_agreed_offset_and_no_higher_one(count: int, data: st.DataObject) -> None:
    quorum = voters(count)
    ends = {id: data.draw(st.integers(0, 20)) for id in quorum.ids}
    agreed = quorum.agreed_offset(ends)
    assert sum(end >= agreed for end in ends.values()) >= quorum.majority
    assert sum(end > agreed for end in ends.values()) < quorum.majority


def test_the_record_makes_the_same_set() -> None:
    quorum = VoterSet((Voter(ReplicaKey(1, bytes(range(16))), (VoterEndpoint("CONTROLLER", "localhost", 9093),)),))
    record = to_record(quorum)
    assert from_record(record) == quorum
    assert record.voters[0].kraft_version_feature.max_supported_version == 1
    assert [voter.voter_id for voter in leader_change_voters(quorum.ids)] == [1]
