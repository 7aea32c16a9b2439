"""Static members (KIP-345): an instance that comes back takes its place again, and its old self is fenced."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.coordinators.group.states import GroupState
from tests.support.groups import RANGE, REBALANCE_MS, SESSION_MS, Asked, Groups

COMPLETING, STABLE, PREPARING = (
    GroupState.COMPLETING_REBALANCE,
    GroupState.STABLE,
    GroupState.PREPARING_REBALANCE,
)
CHANGED = (("range", b"wants more"),)


def stable(groups: Groups) -> tuple[str, str, int]:
    """A stable group of two instances, `a` leading and `b`."""
    leader = groups.join(instance="a").join.member_id
    waiting = groups.join(instance="b")
    groups.join(leader, instance="a")
    follower = waiting.join.member_id
    generation = waiting.join.generation
    groups.sync(leader, generation, {leader: b"A", follower: b"B"}, instance="a")
    assert groups.sync(follower, generation, instance="b").sync.assignment == b"B"
    return leader, follower, generation


def test_an_instance_joins_at_once_under_its_own_name() -> None:
    joined = Groups().join(instance="a").join
    assert (joined.error, joined.member_id, joined.generation) == (ErrorCode.NONE, "a-1", 1)
    assert joined.members[0].instance_id == "a"


def test_a_leader_that_comes_back_need_not_assign() -> None:
    groups = Groups()
    leader, follower, generation = stable(groups)
    back = groups.join(instance="a").join
    assert back.member_id != leader
    assert (back.leader, back.skip_assignment, back.generation) == (back.member_id, True, generation)
    assert [member.instance_id for member in back.members] == ["b", "a"]
    assert groups.state() is STABLE
    assert groups.sync(back.member_id, generation, instance="a").sync.assignment == b"A"
    assert groups.beat(follower, generation, instance="b") is ErrorCode.NONE


def test_an_older_leader_is_told_that_its_old_self_leads() -> None:
    groups = Groups()
    leader, _, generation = stable(groups)
    back = groups.join(instance="a", version=8).join
    assert (back.leader, back.skip_assignment, back.members, back.generation) == (leader, False, (), generation)


@pytest.mark.parametrize("version", [8, 9])
def test_a_follower_that_comes_back_starts_no_rebalance(version: int) -> None:
    groups = Groups()
    leader, _, generation = stable(groups)
    back = groups.join(instance="b", version=version).join
    assert (back.leader, back.skip_assignment, back.members, back.generation) == (leader, False, (), generation)


def test_new_metadata_is_taken_while_the_protocol_stays() -> None:
    groups = Groups()
    _, _, generation = stable(groups)
    assert groups.join(instance="b", protocols=CHANGED).join.generation == generation
    assert groups.state() is STABLE
    assert {member.metadata for member in groups.describe().members} == {RANGE[0][1], b"wants more"}


def test_a_changed_choice_of_protocol_starts_a_rebalance() -> None:
    groups = Groups()
    both = (("range", b""), ("sticky", b""))
    first = groups.join(instance="a", protocols=both).join.member_id
    groups.sync(first, 1, {}, instance="a")
    # Alone it decides: sticky first now.
    back = groups.join(instance="a", protocols=(("sticky", b""), ("range", b"")))
    assert (back.join.generation, back.join.protocol) == (2, "sticky")


def test_coming_back_during_the_assignment_starts_another_round() -> None:
    groups = Groups()
    leader, follower, generation = stable(groups)
    groups.join(leader, instance="a", protocols=CHANGED)
    groups.join(follower, instance="b")
    waiting = groups.sync(follower, generation + 1, instance="b")
    assert groups.state() is COMPLETING
    back = groups.join(instance="a")
    assert back.waits
    assert waiting.error is ErrorCode.REBALANCE_IN_PROGRESS
    assert groups.state() is PREPARING


def test_coming_back_during_a_rebalance_is_a_join() -> None:
    groups = Groups()
    leader, follower, generation = stable(groups)
    old = groups.join(leader, instance="a")
    assert old.waits
    back = groups.join(instance="a")
    assert (old.join.error, old.join.member_id) == (ErrorCode.FENCED_INSTANCE_ID, leader)
    groups.join(follower, instance="b")
    assert (back.join.generation, back.join.leader) == (generation + 1, back.join.member_id)


def test_the_old_self_is_fenced_everywhere() -> None:
    groups = Groups()
    leader, _, generation = stable(groups)
    groups.join(instance="a")
    fenced = ErrorCode.FENCED_INSTANCE_ID
    assert groups.beat(leader, generation, instance="a") is fenced
    assert groups.beat(leader, generation - 1, instance="a") is fenced  # before the generation is looked at
    assert groups.sync(leader, generation, instance="a").error is fenced
    assert groups.join(leader, instance="a").error is fenced
    assert groups.commit(1, member=leader, generation=generation, instance="a").error is fenced
    assert groups.leave((leader, "a")) == [fenced]
    assert groups.beat(leader, generation) is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_old_self_that_waits_for_its_assignment_is_fenced() -> None:
    groups = Groups()
    leader, follower, generation = stable(groups)
    groups.join(leader, instance="a", protocols=CHANGED)
    groups.join(follower, instance="b")
    waiting = groups.sync(follower, generation + 1, instance="b")
    groups.join(instance="b")
    assert waiting.error is ErrorCode.FENCED_INSTANCE_ID


def test_an_unknown_instance_is_an_unknown_member() -> None:
    groups = Groups()
    leader, _, generation = stable(groups)
    assert groups.beat(leader, generation, instance="x") is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.join(leader, instance="x").error is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_leader_that_still_knows_its_id_starts_a_rebalance() -> None:
    groups = Groups()
    leader, _, _ = stable(groups)
    assert groups.join(leader, instance="a").waits
    assert groups.state() is PREPARING


def test_an_instance_is_removed_by_name() -> None:
    groups = Groups()
    _, follower, generation = stable(groups)
    assert groups.leave(("", "a"), ("", "a")) == [ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID]
    assert groups.beat(follower, generation, instance="b") is ErrorCode.REBALANCE_IN_PROGRESS


def test_an_instance_that_does_not_rejoin_keeps_its_place_until_its_session_ends() -> None:
    groups = Groups()
    leader, follower, generation = stable(groups)
    _, joined = groups.enter(session=300_000, rebalance=SESSION_MS // 2)
    groups.join(follower, instance="b", session=300_000, rebalance=SESSION_MS // 2)
    assert joined.waits  # for a: its rebalance timeout is the longest
    groups.beat(leader, generation, instance="a")
    groups.wait(SESSION_MS)  # a's session ends
    assert joined.join.leader == follower


def test_a_generation_can_begin_without_an_absent_instance() -> None:
    groups = Groups()
    leader, _, _ = stable(groups)
    groups.join(leader, instance="a", session=300_000)
    for _ in range(6):
        groups.wait(SESSION_MS - 1)
        groups.beat("b-2", groups.generation(), instance="b")
    groups.wait(REBALANCE_MS - 6 * (SESSION_MS - 1))
    assert groups.state() is COMPLETING
    assert {member.instance_id for member in groups.describe().members} == {"a", "b"}


def test_if_no_instance_comes_back_their_sessions_decide() -> None:
    groups = Groups(initial_rebalance_delay_ms=0)
    first = groups.join(instance="a", session=300_000, rebalance=10_000).join.member_id
    second = groups.join(instance="b", session=300_000, rebalance=10_000)
    groups.join(first, instance="a", session=300_000, rebalance=10_000)
    generation = second.join.generation
    groups.sync(first, generation, {}, instance="a")
    groups.sync(second.join.member_id, generation, {}, instance="b")
    newcomer, joined = groups.enter(rebalance=10_000)
    groups.leave(newcomer)
    assert joined.error is ErrorCode.UNKNOWN_MEMBER_ID
    groups.wait(10_000)
    assert (groups.state(), groups.generation()) == (PREPARING, generation)  # nobody to begin with
    back: Asked = groups.join(first, instance="a", session=300_000, rebalance=10_000)
    groups.wait(10_000)
    assert back.join.generation == generation + 1


def test_a_restart_keeps_instances() -> None:
    groups = Groups()
    _, _, generation = stable(groups)
    back = groups.join(instance="b").join.member_id
    groups.restart()
    assert groups.sync(back, generation, instance="b").sync.assignment == b"B"
    again = groups.join(instance="b").join
    assert (again.generation, again.member_id != back) == (generation, True)
    assert groups.beat(back, generation, instance="b") is ErrorCode.FENCED_INSTANCE_ID
