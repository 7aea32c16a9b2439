"""JoinGroup (API key 11): a member enters, or re-enters, its group. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, boolean, int16, int32, message, octets, string, struct


@struct
class JoinGroupRequestProtocol:
    name: str = string()
    metadata: bytes = octets()


@message("request", 11, "0-9", flexible="6+")
class JoinGroupRequest:
    """Who joins, with the protocols it supports in order of preference."""

    group_id: str = string(entity="groupId")
    session_timeout_ms: int = int32()
    rebalance_timeout_ms: int = int32("1+", default=-1, ignorable=True)
    member_id: str = string()
    group_instance_id: str | None = string("5+", nullable="5+", default=None)
    protocol_type: str = string()
    protocols: list[JoinGroupRequestProtocol] = array(JoinGroupRequestProtocol)
    reason: str | None = string("8+", nullable="8+", default=None, ignorable=True)


@struct
class JoinGroupResponseMember:
    member_id: str = string()
    group_instance_id: str | None = string("5+", nullable="5+", default=None, ignorable=True)
    metadata: bytes = octets()


@message("response", 11, "0-9", flexible="6+")
class JoinGroupResponse:
    """The new generation; the leader also gets the members."""

    throttle_time_ms: int = int32("2+", ignorable=True)
    error_code: int = int16()
    generation_id: int = int32(default=-1)
    protocol_type: str | None = string("7+", nullable="7+", default=None, ignorable=True)
    protocol_name: str | None = string(nullable="7+")
    leader: str = string()
    skip_assignment: bool = boolean("9+")
    member_id: str = string()
    members: list[JoinGroupResponseMember] = array(JoinGroupResponseMember)
