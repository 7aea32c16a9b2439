"""A group's members as they stand in its metadata record, and back. What never lives here: bytes, states, timers."""

from __future__ import annotations

from moldau.core.coordinators.group.member import Member
from moldau.core.coordinators.group.membership import Membership
from moldau.core.protocol.stored.groups import GroupMetadataValue, MemberMetadata


def empty(protocol_type: str | None, generation: int, wall_ms: int) -> GroupMetadataValue:
    """A group that nobody is in."""
    return GroupMetadataValue(
        protocol_type=protocol_type or "",
        generation=generation,
        protocol=None,
        leader=None,
        current_state_timestamp=wall_ms,
        members=[],
    )


def stable(
    members: Membership,
    assignments: dict[str, bytes],
    protocol_type: str | None,
    protocol: str | None,
    generation: int,
    wall_ms: int,
) -> GroupMetadataValue:
    """A generation with its assignments, by member id. Of each member's protocols only the chosen one is kept."""
    value = empty(protocol_type, generation, wall_ms)
    value.protocol = protocol
    value.leader = members.leader
    value.members = [
        MemberMetadata(
            member_id=member.member_id,
            group_instance_id=member.instance_id,
            client_id=member.client_id,
            client_host=member.client_host,
            rebalance_timeout=member.rebalance_timeout_ms,
            session_timeout=member.session_timeout_ms,
            subscription=member.metadata(protocol),
            assignment=assignments[member.member_id],
        )
        for member in members
    ]
    return value


def restore(members: Membership, value: GroupMetadataValue) -> list[str]:
    """Make `members` those of the record; returns the ids of those who are not among them any more.

    Live, members know more than the record has (all their protocols, who waits): that is kept where it agrees.
    """
    kept = {stored.member_id for stored in value.members}
    gone = [member_id for member_id in members.by_id if member_id not in kept]
    for member_id in gone:
        members.take(member_id)
    for stored in value.members:
        _restore_member(members, stored, value.protocol or "")
    members.leader = value.leader
    return gone


def _restore_member(members: Membership, stored: MemberMetadata, protocol: str) -> None:
    offered = (protocol, stored.subscription)
    # Version 0 of the record has no rebalance timeout.
    rebalance_timeout_ms = stored.rebalance_timeout if stored.rebalance_timeout >= 0 else stored.session_timeout
    member = members.by_id.get(stored.member_id)
    if member is None:
        member = Member(
            member_id=stored.member_id,
            instance_id=stored.group_instance_id,
            client_id=stored.client_id,
            client_host=stored.client_host,
            rebalance_timeout_ms=rebalance_timeout_ms,
            session_timeout_ms=stored.session_timeout,
            protocols=(offered,),
        )
        members.put(member)
    elif offered not in member.protocols:
        members.offer(member, (offered,))
    member.rebalance_timeout_ms = rebalance_timeout_ms
    member.session_timeout_ms = stored.session_timeout
    member.assignment = stored.assignment
