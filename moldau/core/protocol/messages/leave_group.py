"""LeaveGroup (API key 13): members leave their group. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int16, int32, message, string, struct


@struct
class MemberIdentity:
    member_id: str = string("3+")
    group_instance_id: str | None = string("3+", nullable="3+", default=None)
    reason: str | None = string("5+", nullable="5+", default=None, ignorable=True)


@message("request", 13, "0-5", flexible="4+")
class LeaveGroupRequest:
    """One member (to version 2) or several."""

    group_id: str = string(entity="groupId")
    member_id: str = string("0-2")
    members: list[MemberIdentity] = array(MemberIdentity, "3+")


@struct
class MemberResponse:
    member_id: str = string("3+")
    group_instance_id: str | None = string("3+", nullable="3+")
    error_code: int = int16("3+")


@message("response", 13, "0-5", flexible="4+")
class LeaveGroupResponse:
    """How each of them left."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16()
    members: list[MemberResponse] = array(MemberResponse, "3+")
