"""The bookkeeping of a group's members."""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.asks import JoinAnswer, SyncAnswer
from moldau.core.coordinators.group.member import Member
from moldau.core.coordinators.group.membership import Membership
from moldau.core.coordinators.shard import Decision

BOTH = (("a", b""), ("b", b""))


def add(members: Membership, member_id: str, protocols: tuple[tuple[str, bytes], ...] = BOTH, **how: object) -> Member:
    settings: dict[str, object] = {
        "instance_id": None,
        "client_id": "c",
        "client_host": "/h",
        "rebalance_timeout_ms": 10,
        "session_timeout_ms": 1,
    }
    member = Member(member_id=member_id, protocols=protocols, **{**settings, **how})  # type: ignore[arg-type]
    members.put(member)
    return member


def test_the_first_member_leads_and_the_next_takes_over() -> None:
    members = Membership()
    for member_id in ("1", "2", "3"):
        add(members, member_id)
    assert members.leader == "1"
    members.take("1")
    assert members.leader == "2"
    members.take("3")
    members.take("2")
    assert members.leader is None
    assert len(members) == 0
    assert members.take("2") is None


def test_the_leader_is_elected_among_those_who_wait() -> None:
    members = Membership()
    first, second = add(members, "1"), add(members, "2")
    assert not members.elect_leader()
    members.wait_join(second, Pending(), Decision())
    assert members.elect_leader()
    assert members.leader == "2"
    members.wait_join(first, Pending(), Decision())
    assert members.elect_leader()
    assert members.leader == "2"


def test_a_common_protocol_is_one_that_all_offer() -> None:
    members = Membership()
    add(members, "1")
    second = add(members, "2", (("b", b""), ("c", b"")))
    assert members.has_common_protocol((("b", b""),))
    assert not members.has_common_protocol((("a", b""), ("c", b"")))
    assert members.choose_protocol() == "b"
    members.offer(second, BOTH)
    assert members.has_common_protocol((("a", b""),))
    members.take("1")
    assert not members.has_common_protocol((("c", b""),))


def test_a_protocol_offered_twice_counts_once() -> None:
    members = Membership()
    add(members, "1", (("a", b"1"), ("a", b"2")))
    add(members, "2", (("b", b""),))
    assert not members.has_common_protocol((("a", b""),))


def test_everyone_has_joined_when_all_wait_and_no_id_is_out() -> None:
    members = Membership()
    assert members.all_joined()
    first, second = add(members, "1"), add(members, "2")
    members.wait_join(first, Pending(), Decision())
    assert not members.all_joined()
    members.wait_join(second, Pending(), Decision())
    assert members.all_joined()
    members.pending.add("3")
    assert not members.all_joined()
    add(members, "3", waiting_join=Pending())
    assert members.all_joined()
    members.take("3")
    assert members.waiting_joins == 2


def test_a_new_name_keeps_the_place() -> None:
    members = Membership()
    member = add(members, "old", instance_id="i")
    add(members, "other")
    members.unsynced = {"old", "other"}
    members.rename(member, "new")
    assert (members.leader, members.instances, members.unsynced) == ("new", {"i": "new"}, {"new", "other"})
    assert members.check("old", "i") is ErrorCode.FENCED_INSTANCE_ID
    assert members.check("new", "i") is ErrorCode.NONE
    assert members.check("new", "j") is ErrorCode.UNKNOWN_MEMBER_ID
    assert members.check("old", None) is ErrorCode.UNKNOWN_MEMBER_ID


def test_the_longest_rebalance_timeout_counts() -> None:
    members = Membership()
    assert members.rebalance_timeout_ms() == 0
    add(members, "1", rebalance_timeout_ms=5)
    add(members, "2", rebalance_timeout_ms=7)
    assert members.rebalance_timeout_ms() == 7


def test_a_second_request_lets_the_first_go() -> None:
    members, out = Membership(), Decision()
    member = add(members, "1")
    joins: list[Pending[JoinAnswer | ErrorCode]] = [Pending(), Pending()]
    syncs: list[Pending[SyncAnswer | ErrorCode]] = [Pending(), Pending()]
    for join, sync in zip(joins, syncs, strict=True):
        members.wait_join(member, join, out)
        members.wait_sync(member, sync, out)
    assert [waiter for waiter, _ in out.replies] == [joins[0], syncs[0]]
    assert members.waiters() == [joins[1], syncs[1]]
    assert members.waiting_joins == 1
    assert members.answer_sync(member, ErrorCode.NONE, out)
    assert not members.answer_sync(member, ErrorCode.NONE, out)
