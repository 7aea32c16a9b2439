"""How groups look from outside."""

from __future__ import annotations

from moldau.core.coordinators.group.asks import ListedGroup
from moldau.core.coordinators.group.states import GroupState
from moldau.core.coordinators.group.views import joined, listed
from tests.support.groups import GROUP, Groups


def test_metadata_is_shown_of_stable_groups_only() -> None:
    groups = Groups()
    leader, _follower = groups.stable(2)
    stable = groups.describe()
    assert (stable.state, stable.protocol_type, stable.protocol) == (GroupState.STABLE, "consumer", "range")
    assert stable.members[0] == (leader, None, "client", "/127.0.0.1", b"wants t", b"0")
    groups.enter()
    rebalancing = groups.describe()
    assert (rebalancing.state, rebalancing.protocol) == (GroupState.PREPARING_REBALANCE, "")
    assert [member.metadata for member in rebalancing.members] == [b"", b"", b""]
    assert [member.assignment for member in rebalancing.members] == [b"0", b"1", b""]


def test_a_listed_group_has_its_type_and_state() -> None:
    groups = Groups()
    groups.commit(1)
    assert listed(groups.shard().groups[GROUP]) == ListedGroup(GROUP, "", GroupState.EMPTY)


def test_a_joined_member_may_be_told_of_another_leader() -> None:
    groups = Groups()
    [member] = groups.stable(1)
    group = groups.shard().groups[GROUP]
    assert joined(group, member, with_members=True).leader == member
    assert joined(group, member, with_members=False, leader="other").leader == "other"
    assert [each.member_id for each in joined(group, member, with_members=True).members] == [member]
