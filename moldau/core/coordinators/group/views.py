"""How groups look from outside: to an administrator, in a list, to a member that joined. Reads, never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moldau.core.coordinators.group.asks import (
    DescribedGroup,
    DescribedMember,
    JoinAnswer,
    JoinedMember,
    ListedGroup,
)
from moldau.core.coordinators.group.states import GroupState

if TYPE_CHECKING:
    from moldau.core.coordinators.group.classic import ClassicGroup


def described(group: ClassicGroup) -> DescribedGroup:
    """The group as an administrator sees it; protocol and metadata only while it is stable."""
    is_stable = group.state is GroupState.STABLE
    members = tuple(
        DescribedMember(
            member.member_id,
            member.instance_id,
            member.client_id,
            member.client_host,
            member.metadata(group.protocol) if is_stable else b"",
            member.assignment,
        )
        for member in group.members
    )
    protocol = (group.protocol or "") if is_stable else ""
    return DescribedGroup(group.group_id, group.state, group.protocol_type or "", protocol, members)


def listed(group: ClassicGroup) -> ListedGroup:
    """The group in a list."""
    return ListedGroup(group.group_id, group.protocol_type or "", group.state)


def joined(
    group: ClassicGroup,
    member_id: str,
    *,
    with_members: bool,
    skip_assignment: bool = False,
    leader: str | None = None,
) -> JoinAnswer:
    """The present generation, as an answer to `member_id`; `leader` names another than the true one."""
    members: tuple[JoinedMember, ...] = ()
    if with_members:
        members = tuple(
            JoinedMember(member.member_id, member.instance_id, member.metadata(group.protocol))
            for member in group.members
        )
    return JoinAnswer(
        member_id=member_id,
        generation=group.generation,
        protocol_type=group.protocol_type,
        protocol=group.protocol,
        leader=leader or group.members.leader or "",
        skip_assignment=skip_assignment,
        members=members,
    )
