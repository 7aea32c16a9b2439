"""Members into a record and back."""

from __future__ import annotations

from moldau.core.base.pending import Pending
from moldau.core.coordinators.group import stored_form
from moldau.core.coordinators.group.member import Member
from moldau.core.coordinators.group.membership import Membership
from moldau.core.protocol.stored.groups import GroupMetadataValue


def made() -> Membership:
    members = Membership()
    for number, instance in enumerate(("i", None)):
        members.put(
            Member(
                member_id=f"m{number}",
                instance_id=instance,
                client_id="c",
                client_host="/h",
                rebalance_timeout_ms=60_000,
                session_timeout_ms=10_000,
                protocols=(("range", b"r%d" % number), ("sticky", b"s")),
            )
        )
    return members


def record() -> GroupMetadataValue:
    return stored_form.stable(made(), {"m0": b"A", "m1": b""}, "consumer", "range", 7, 123)


def test_a_record_brings_back_what_it_was_made_of() -> None:
    members = Membership()
    assert stored_form.restore(members, record()) == []
    assert members.leader == "m0"
    assert members.instances == {"i": "m0"}
    first = members.by_id["m0"]
    assert (first.protocols, first.assignment, first.client_id, first.client_host) == (
        (("range", b"r0"),),
        b"A",
        "c",
        "/h",
    )
    assert (first.rebalance_timeout_ms, first.session_timeout_ms) == (60_000, 10_000)


def test_live_members_keep_what_the_record_does_not_have() -> None:
    members = made()
    waiter: Pending[object] = Pending()
    members.by_id["m1"].waiting_sync = waiter
    members.unsynced = {"m1"}
    stored_form.restore(members, record())
    assert members.by_id["m0"].protocols == (("range", b"r0"), ("sticky", b"s"))
    assert members.by_id["m0"].assignment == b"A"
    assert (members.waiters(), members.unsynced) == ([waiter], {"m1"})


def test_a_record_that_disagrees_wins() -> None:
    members = made()
    value = record()
    value.protocol, value.leader = "uniform", "m1"
    value.members[1].subscription = b"u"
    assert stored_form.restore(members, value) == []
    assert members.by_id["m1"].protocols == (("uniform", b"u"),)
    assert members.choose_protocol() == "uniform"
    assert members.leader == "m1"


def test_who_is_not_in_the_record_is_gone() -> None:
    members = made()
    assert stored_form.restore(members, stored_form.empty("consumer", 8, 124)) == ["m0", "m1"]
    assert (len(members), members.leader, members.instances) == (0, None, {})


def test_very_old_records_have_no_rebalance_timeout() -> None:
    value = record()
    value.members[0].rebalance_timeout = -1
    members = Membership()
    stored_form.restore(members, value)
    assert members.by_id["m0"].rebalance_timeout_ms == 10_000
