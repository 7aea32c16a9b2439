"""Dynamic members: joining, syncing, staying, leaving, and the rebalances that come of it."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.coordinators.group.states import GroupState
from tests.support.groups import RANGE, REBALANCE_MS, SESSION_MS, Groups

EMPTY, PREPARING, COMPLETING, STABLE = (
    GroupState.EMPTY,
    GroupState.PREPARING_REBALANCE,
    GroupState.COMPLETING_REBALANCE,
    GroupState.STABLE,
)


# Member ids


def test_a_new_member_is_told_its_id_first() -> None:
    groups = Groups()
    first = groups.join().join
    assert (first.error, first.member_id, first.generation) == (ErrorCode.MEMBER_ID_REQUIRED, "client-1", -1)
    assert (first.protocol, first.leader, first.members) == (None, "", ())
    assert groups.state() is EMPTY
    assert groups.beat("client-1", 0) is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.sync("client-1", 0).error is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.commit(1, member="client-1", generation=0).error is ErrorCode.UNKNOWN_MEMBER_ID
    second = groups.join("client-1").join
    assert (second.error, second.member_id, second.generation, second.leader) == (
        ErrorCode.NONE,
        "client-1",
        1,
        "client-1",
    )


def test_older_clients_join_at_once() -> None:
    assert Groups().join(version=3).join.generation == 1


def test_a_handed_out_id_ends_with_its_session() -> None:
    groups = Groups()
    member = groups.join().join.member_id
    groups.wait(SESSION_MS)
    assert groups.join(member).error is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_handed_out_id_is_no_static_member() -> None:
    groups = Groups()
    member = groups.join().join.member_id
    assert groups.join(member, instance="i").error is ErrorCode.UNKNOWN_SERVER_ERROR


def test_an_id_from_nowhere_is_unknown() -> None:
    groups = Groups()
    assert groups.join("stranger").error is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.state() is GroupState.DEAD
    groups.stable(1)
    answer = groups.join("stranger").join
    assert (answer.error, answer.member_id) == (ErrorCode.UNKNOWN_MEMBER_ID, "stranger")


# Protocols


@pytest.mark.parametrize(("kind", "protocols"), [("", RANGE), ("consumer", ()), ("", ())])
def test_a_join_without_protocols_makes_no_group(kind: str, protocols: tuple[tuple[str, bytes], ...]) -> None:
    groups = Groups()
    assert groups.join(kind=kind, protocols=protocols).error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert groups.state() is GroupState.DEAD


def test_all_members_share_a_type_and_a_protocol() -> None:
    groups = Groups()
    [member] = groups.stable(1)
    assert groups.join(kind="connect").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert groups.join(protocols=(("sticky", b""),)).error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert groups.join(member, kind="connect").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert groups.join(member, protocols=(("sticky", b""),)).error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_an_empty_group_takes_any_type() -> None:
    groups = Groups()
    groups.leave(*groups.stable(1))
    _member, joined = groups.enter(kind="connect", protocols=(("v2", b"x"),))
    assert (joined.join.protocol_type, joined.join.protocol) == ("connect", "v2")


def test_the_protocol_most_members_prefer_wins_among_the_common_ones() -> None:
    groups = Groups(initial_rebalance_delay_ms=3000)
    offers = [
        (("a", b"1"), ("b", b"1"), ("only-mine", b"")),
        (("b", b"2"), ("a", b"2")),
        (("b", b"3"), ("a", b"3")),
    ]
    joins = [groups.enter(protocols=offer)[1] for offer in offers]
    for _ in range(3):
        groups.wait(3000)
    assert {join.join.protocol for join in joins} == {"b"}
    assert [member.metadata for member in joins[0].join.members] == [b"1", b"2", b"3"]


# The first rebalance


def test_an_empty_group_waits_for_company_and_longer_if_some_comes() -> None:
    groups = Groups(initial_rebalance_delay_ms=3000)
    _, first = groups.enter()
    groups.wait(2999)
    _, second = groups.enter()
    assert first.waits
    groups.wait(1)
    assert first.waits  # somebody came: another 3 s
    groups.wait(3000)
    assert first.join.generation == second.join.generation == 1
    assert [member.member_id for member in first.join.members] == ["client-1", "client-2"]
    assert second.join.members == ()


def test_the_first_wait_ends_with_the_rebalance_timeout() -> None:
    groups = Groups(initial_rebalance_delay_ms=3000)
    _, first = groups.enter(rebalance=7000)
    for _ in range(2):
        groups.wait(2500)
        groups.enter()
        groups.wait(500)
    assert first.waits
    groups.wait(1000)  # 3 + 3 + 1
    assert len(first.join.members) == 3


def test_a_group_whose_first_members_leave_before_it_began_is_empty_again() -> None:
    groups = Groups(initial_rebalance_delay_ms=3000)
    member, joined = groups.enter()
    groups.leave(member)
    assert joined.error is ErrorCode.UNKNOWN_MEMBER_ID
    groups.wait(3000)
    assert (groups.state(), groups.generation()) == (EMPTY, 1)


# Rebalances


def test_a_newcomer_makes_everyone_join_again() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    before = groups.generation()
    _newcomer, joined = groups.enter()
    assert groups.state() is PREPARING
    assert groups.beat(leader, before) is ErrorCode.REBALANCE_IN_PROGRESS
    assert groups.sync(follower, before).error is ErrorCode.REBALANCE_IN_PROGRESS
    again = [groups.join(leader), groups.join(follower)]
    assert groups.state() is COMPLETING
    assert {asked.join.generation for asked in [joined, *again]} == {before + 1}
    assert {asked.join.leader for asked in [joined, *again]} == {leader}
    assert [len(asked.join.members) for asked in [joined, *again]] == [0, 3, 0]
    assert groups.beat(leader, before + 1) is ErrorCode.NONE
    assert groups.beat(leader, before) is ErrorCode.ILLEGAL_GENERATION


def test_a_rebalance_waits_for_ids_that_were_handed_out() -> None:
    groups = Groups()
    [leader] = groups.stable(1)
    late = groups.join().join.member_id
    again = groups.join(leader)
    assert again.waits
    assert groups.join(late).join.generation == again.join.generation


def test_a_rebalance_goes_on_when_a_handed_out_id_expires() -> None:
    groups = Groups()
    [leader] = groups.stable(1)
    groups.join()
    again = groups.join(leader)
    groups.wait(SESSION_MS)
    assert again.join.generation == 2


def test_members_that_do_not_come_back_are_dropped_and_another_leads() -> None:
    groups = Groups()
    leader, follower = groups.stable(2, session=30_000, rebalance=20_000)
    newcomer, joined = groups.enter(rebalance=20_000)
    groups.join(follower, rebalance=20_000)
    groups.wait(20_000)
    assert joined.join.leader == follower
    assert groups.beat(leader, joined.join.generation) is ErrorCode.UNKNOWN_MEMBER_ID
    assert {member.member_id for member in groups.describe().members} == {follower, newcomer}


def test_asking_again_with_nothing_new_gets_the_same_generation() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    generation = groups.generation()
    assert groups.join(follower).join.generation == generation
    assert groups.state() is STABLE
    groups.join(leader)
    groups.join(follower)
    assert groups.state() is COMPLETING
    assert groups.join(follower).join.members == ()
    assert len(groups.join(leader).join.members) == 2
    assert (groups.state(), groups.generation()) == (COMPLETING, generation + 1)


def test_the_leader_of_a_stable_group_can_always_start_a_rebalance() -> None:
    groups = Groups()
    leader, _ = groups.stable(2)
    assert groups.join(leader).waits
    assert groups.state() is PREPARING


@pytest.mark.parametrize("completing", [False, True])
def test_changed_metadata_starts_a_rebalance(completing: bool) -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    if completing:
        groups.join(leader)
        groups.join(follower)
    assert groups.join(follower, protocols=(("range", b"wants more"),)).waits
    assert groups.state() is PREPARING


def test_asking_twice_lets_the_first_request_go() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    first = groups.join(leader)
    second = groups.join(leader)
    assert first.error is ErrorCode.REBALANCE_IN_PROGRESS
    groups.join(follower)
    assert len(second.join.members) == 2


def test_who_hangs_up_while_waiting_stays_a_member_until_its_session_ends() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    hung_up = groups.join(leader)
    hung_up.given.abandon()
    generation = groups.join(follower).join.generation
    assert {member.member_id for member in groups.describe().members} == {leader, follower}
    groups.wait(SESSION_MS - 1)
    assert groups.beat(follower, generation) is ErrorCode.NONE
    groups.wait(1)
    assert groups.beat(follower, generation) is ErrorCode.REBALANCE_IN_PROGRESS
    assert {member.member_id for member in groups.describe().members} == {follower}


# Sessions


def test_a_member_without_heartbeats_is_removed() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    generation = groups.generation()
    groups.wait(SESSION_MS - 1)
    assert groups.beat(follower, generation) is ErrorCode.NONE
    groups.wait(1)
    assert groups.beat(follower, generation) is ErrorCode.REBALANCE_IN_PROGRESS
    assert groups.join(follower).join.leader == follower
    assert groups.beat(leader, generation) is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_group_whose_last_member_dies_is_empty_in_a_new_generation() -> None:
    groups = Groups()
    groups.stable(1)
    groups.wait(SESSION_MS)
    assert (groups.state(), groups.generation()) == (EMPTY, 2)


def test_waiting_for_a_join_keeps_the_session() -> None:
    groups = Groups()
    leader, follower = groups.stable(2, rebalance=10 * SESSION_MS)
    again = groups.join(leader)
    for _ in range(3):
        groups.wait(SESSION_MS - 1)
        groups.beat(follower, groups.generation())
    assert again.waits
    groups.join(follower)
    assert again.join.generation == groups.generation()


def test_a_new_member_that_waits_has_five_minutes() -> None:
    groups = Groups()
    groups.stable(1, rebalance=1_000_000, session=600_000)
    _newcomer, joined = groups.enter()
    groups.wait(299_999)
    assert joined.waits
    groups.wait(1)
    assert joined.error is ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("ms", [5_999, 1_800_001])
def test_session_timeouts_have_bounds(ms: int) -> None:
    assert Groups().join(session=ms).error is ErrorCode.INVALID_SESSION_TIMEOUT


def test_group_ids_are_not_empty() -> None:
    groups = Groups()
    assert groups.join(group="").error is ErrorCode.INVALID_GROUP_ID
    assert groups.sync("m", 1, group="").error is ErrorCode.INVALID_GROUP_ID
    assert groups.beat("m", 1, group="") is ErrorCode.INVALID_GROUP_ID
    assert groups.coordinator.leave("", []) is ErrorCode.INVALID_GROUP_ID


# Syncing


def test_members_wait_for_the_leaders_assignment() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    groups.join(leader)
    generation = groups.join(follower).join.generation
    waiting = groups.sync(follower, generation)
    assert waiting.waits
    mine = groups.sync(leader, generation, {leader: b"A", follower: b"B"})
    assert (mine.sync.assignment, waiting.sync.assignment) == (b"A", b"B")
    assert (waiting.sync.protocol_type, waiting.sync.protocol) == ("consumer", "range")
    assert groups.state() is STABLE
    assert groups.sync(follower, generation).sync.assignment == b"B"


def test_a_member_that_was_assigned_nothing_gets_no_bytes() -> None:
    groups = Groups()
    member, _joined = groups.enter()
    assert groups.sync(member, 1, {"somebody else": b"x"}).sync.assignment == b""


def test_a_rebalance_ends_the_wait_for_an_assignment() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    groups.join(leader)
    generation = groups.join(follower).join.generation
    waiting = groups.sync(follower, generation)
    groups.enter()
    assert waiting.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_what_a_sync_must_say() -> None:
    groups = Groups()
    leader, _follower = groups.stable(2)
    generation = groups.generation()
    assert groups.sync("stranger", generation).error is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.sync(leader, generation - 1).error is ErrorCode.ILLEGAL_GENERATION
    assert groups.sync(leader, generation, kind="connect").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert groups.sync(leader, generation, protocol="sticky").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert groups.sync(leader, generation, kind=None, protocol=None).error is ErrorCode.NONE
    assert groups.sync(leader, generation, group="nobody's").error is ErrorCode.UNKNOWN_MEMBER_ID


def test_members_that_never_sync_are_dropped() -> None:
    groups = Groups()
    leader, follower = groups.stable(2, session=300_000)
    groups.join(leader, session=300_000)
    generation = groups.join(follower, session=300_000).join.generation
    groups.sync(leader, generation, {})
    groups.wait(REBALANCE_MS)
    assert groups.beat(leader, generation) is ErrorCode.REBALANCE_IN_PROGRESS
    assert groups.beat(follower, generation) is ErrorCode.UNKNOWN_MEMBER_ID


# Leaving


def test_leaving_starts_a_rebalance_at_once() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    generation = groups.generation()
    assert groups.leave(leader) == [ErrorCode.NONE]
    assert groups.beat(follower, generation) is ErrorCode.REBALANCE_IN_PROGRESS
    assert groups.join(follower).join.leader == follower


def test_each_leaver_has_its_own_answer() -> None:
    groups = Groups()
    leader, _follower = groups.stable(2)
    pending = groups.join().join.member_id
    assert groups.leave(leader, "stranger", pending, ("", "no such instance"), ("", None)) == [
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.UNKNOWN_MEMBER_ID,
    ]
    assert groups.join(pending).error is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.leave("anyone", group="nobody's") == [ErrorCode.UNKNOWN_MEMBER_ID]


def test_the_last_to_leave_empties_the_group() -> None:
    groups = Groups()
    groups.leave(*groups.stable(2))
    assert (groups.state(), groups.describe().members) == (EMPTY, ())


def test_who_waits_is_refused_when_it_is_made_to_leave() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    groups.join(leader)
    generation = groups.join(follower).join.generation
    waiting = groups.sync(follower, generation)
    groups.leave(follower)
    assert waiting.error is ErrorCode.UNKNOWN_MEMBER_ID


# Size


def test_a_full_group_turns_newcomers_away() -> None:
    groups = Groups(max_size=2)
    leader, _follower = groups.stable(2)
    refused = groups.join().join
    assert (refused.error, refused.member_id) == (ErrorCode.GROUP_MAX_SIZE_REACHED, "")
    assert groups.state() is STABLE
    groups.join(leader)
    assert groups.join().error is ErrorCode.MEMBER_ID_REQUIRED  # one waits, there is room for one more


def test_a_stored_group_that_is_too_large_shrinks_to_those_who_come_first() -> None:
    groups = Groups()
    ids = groups.stable(3)
    groups.config = type(groups.config)(initial_rebalance_delay_ms=0, max_size=2)
    groups.restart()
    assert groups.state() is PREPARING
    joins = [groups.join(member) for member in ids]
    assert [join.error for join in joins] == [ErrorCode.NONE, ErrorCode.NONE, ErrorCode.GROUP_MAX_SIZE_REACHED]
