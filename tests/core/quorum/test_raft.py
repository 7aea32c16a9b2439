"""The pure step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import InvariantBroken
from moldau.core.quorum.election import ElectionState
from moldau.core.quorum.raft import NOTHING, Elect, Raft, Ready, Role, Synced
from moldau.core.quorum.voters import ReplicaKey, Voter, VoterSet

ME = ReplicaKey(1, bytes(16))


def raft(epoch: int = 0) -> Raft:
    return Raft(ME, VoterSet((Voter(ME),)), ElectionState(epoch=epoch))


def test_a_single_voter_elects_itself_in_the_next_epoch() -> None:
    one = raft(4)
    assert one.step(Elect(10)) == Ready(election=ElectionState(5, 1), opening=(1,))
    assert (one.role, one.epoch) == (Role.LEADER, 5)


def test_nothing_is_agreed_before_the_batch_that_opens_the_epoch() -> None:
    one = raft()
    assert one.step(Synced(1, 10)) == NOTHING
    one.step(Elect(10))
    assert one.step(Synced(1, 10)) == NOTHING
    assert one.step(Synced(1, 11)) == Ready(high_watermark=11)
    assert one.step(Synced(1, 11)) == NOTHING
    assert one.high_watermark == 11


def test_an_election_among_several_is_not_served() -> None:
    other = ReplicaKey(2, bytes(16))
    with pytest.raises(InvariantBroken):
        Raft(ME, VoterSet((Voter(ME), Voter(other))), ElectionState()).step(Elect(0))


@given(st.lists(st.integers(0, 30)))
def test_the_high_watermark_never_moves_back(offsets: list[int]) -> None:
    one = raft()
    one.step(Elect(5))
    reached = 0
    for offset in offsets:
        ready = one.step(Synced(1, offset))
        if ready.high_watermark is not None:
            assert ready.high_watermark > max(reached, 5)
            reached = ready.high_watermark
        assert one.high_watermark == reached
