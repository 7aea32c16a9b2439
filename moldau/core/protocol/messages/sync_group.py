"""SyncGroup (API key 14): the leader's assignment reaches the members. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int16, int32, message, octets, string, struct


@struct
class SyncGroupRequestAssignment:
    member_id: str = string()
    assignment: bytes = octets()


@message("request", 14, "0-5", flexible="4+")
class SyncGroupRequest:
    """The assignment (from the leader), or the wish for one."""

    group_id: str = string(entity="groupId")
    generation_id: int = int32()
    member_id: str = string()
    group_instance_id: str | None = string("3+", nullable="3+", default=None)
    protocol_type: str | None = string("5+", nullable="5+", default=None, ignorable=True)
    protocol_name: str | None = string("5+", nullable="5+", default=None, ignorable=True)
    assignments: list[SyncGroupRequestAssignment] = array(SyncGroupRequestAssignment)


@message("response", 14, "0-5", flexible="4+")
class SyncGroupResponse:
    """This member's part of the assignment."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16()
    protocol_type: str | None = string("5+", nullable="5+", default=None, ignorable=True)
    protocol_name: str | None = string("5+", nullable="5+", default=None, ignorable=True)
    assignment: bytes = octets()
