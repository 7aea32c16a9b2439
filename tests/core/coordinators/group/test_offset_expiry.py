"""When committed offsets, and the groups that only they keep alive, are forgotten."""

from __future__ import annotations

from moldau.core.coordinators.group.offset_expiry import STEP_OFFSETS, STEP_PAUSE_MS
from moldau.core.coordinators.group.states import GroupState
from tests.core.coordinators.group.test_subscription import metadata
from tests.support.groups import GROUP, Groups

MINUTE = 60_000
RETENTION = 60 * MINUTE
CHECK = 10 * MINUTE
DAY = 24 * 60 * MINUTE


def made() -> Groups:
    return Groups(offsets_retention_minutes=60, offsets_retention_check_interval_ms=CHECK)


def test_offsets_live_as_long_as_their_group_was_not_empty_for_the_retention() -> None:
    groups = made()
    [member] = groups.stable(1)
    groups.commit(7, member=member, generation=1)
    groups.clock.advance(5)
    groups.leave(member)
    for _ in range(5):
        groups.wait(CHECK)
    assert groups.committed() == {("t", 0): 7}
    groups.wait(2 * CHECK)
    assert (groups.committed(), groups.state()) == ({}, GroupState.DEAD)
    groups.restart()
    assert (groups.committed(), groups.state()) == ({}, GroupState.DEAD)


def test_offsets_nobody_joined_for_live_from_their_own_commit() -> None:
    groups = made()
    groups.commit(7)
    groups.wait(RETENTION // 2)
    groups.commit(8, partition=1)
    groups.wait(RETENTION // 2)
    assert groups.committed() == {("t", 1): 8}
    groups.wait(RETENTION // 2)
    assert groups.committed() == {}
    assert groups.state() is GroupState.DEAD


def test_a_commit_can_bring_its_own_retention() -> None:
    groups = made()
    groups.commit(7, retention=5 * DAY)
    groups.commit(8, partition=1, retention=MINUTE)
    groups.wait(CHECK)
    assert groups.committed() == {("t", 0): 7}
    groups.wait(4 * DAY)
    assert groups.committed() == {("t", 0): 7}
    groups.wait(DAY)
    assert groups.committed() == {}


def test_a_retention_beyond_all_time_keeps_the_offset_for_ever() -> None:
    groups = made()
    groups.commit(7, retention=(1 << 63) - 1)
    groups.wait(DAY)
    assert groups.committed() == {("t", 0): 7}


def beat_for(groups: Groups, member: str, ms: int) -> None:
    """The member lives on while time goes by."""
    for _ in range(ms // MINUTE):
        groups.beat(member, groups.generation())
        groups.wait(MINUTE)


def test_a_stable_group_loses_what_it_does_not_subscribe_to() -> None:
    groups = made()
    reads = {"protocols": (("range", metadata(0, "mine")),), "session": 2 * MINUTE}
    member, _ = groups.enter(**reads)
    groups.sync(member, 1, {})
    for topic in ("mine", "other"):
        groups.commit(7, topic=topic, member=member, generation=1)
    beat_for(groups, member, RETENTION + CHECK)
    assert groups.committed() == {("mine", 0): 7}


def test_a_stable_group_that_does_not_say_what_it_reads_loses_nothing() -> None:
    groups = made()
    member, _ = groups.enter(kind="connect", session=2 * MINUTE)
    groups.sync(member, 1, {}, kind="connect")
    groups.commit(7, member=member, generation=1)
    beat_for(groups, member, RETENTION + CHECK)
    assert groups.committed() == {("t", 0): 7}


def test_a_rebalancing_group_loses_nothing() -> None:
    groups = made()
    groups.join(instance="i", session=30 * MINUTE, rebalance=10 * DAY)
    groups.join(instance="j", session=30 * MINUTE, rebalance=10 * DAY)
    groups.commit(7, member="i-1", generation=1, instance="i")
    assert groups.state() is GroupState.PREPARING_REBALANCE
    groups.wait(20 * MINUTE)
    assert groups.committed() == {("t", 0): 7}


def test_an_empty_group_without_offsets_goes_at_the_next_check() -> None:
    groups = made()
    groups.leave(*groups.stable(1))
    groups.wait(CHECK)
    assert groups.state() is GroupState.DEAD


def test_a_group_that_somebody_is_about_to_join_stays() -> None:
    groups = made()
    member = groups.join(session=2 * CHECK).join.member_id
    groups.wait(CHECK)
    assert groups.state() is GroupState.EMPTY
    assert groups.join(member, session=2 * CHECK).join.generation == 1


def test_many_offsets_are_looked_at_in_steps() -> None:
    groups = made()
    for number in range(3):
        for partition in range(STEP_OFFSETS * 2 // 3):
            groups.commit(1, group=f"{GROUP}{number}", partition=partition, retention=1)
    assert len(groups.shard().offsets) == STEP_OFFSETS * 2 // 3 * 3
    groups.wait(CHECK)
    assert len(groups.shard().offsets) == STEP_OFFSETS * 2 // 3
    groups.wait(STEP_PAUSE_MS)
    assert len(groups.shard().offsets) == 0
    assert groups.shard().groups == {}
