"""DescribeGroups (API key 15): the state of classic groups. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, boolean, int16, int32, message, octets, string, struct


@message("request", 15, "0-6", flexible="5+")
class DescribeGroupsRequest:
    """Group ids."""

    groups: list[str] = array(string(), entity="groupId")
    include_authorized_operations: bool = boolean("3+")


@struct
class DescribedGroupMember:
    member_id: str = string()
    group_instance_id: str | None = string("4+", nullable="4+", default=None, ignorable=True)
    client_id: str = string()
    client_host: str = string()
    member_metadata: bytes = octets()
    member_assignment: bytes = octets()


@struct
class DescribedGroup:
    error_code: int = int16()
    error_message: str | None = string("6+", nullable="6+", default=None)
    group_id: str = string(entity="groupId")
    group_state: str = string()
    protocol_type: str = string()
    protocol_data: str = string()
    members: list[DescribedGroupMember] = array(DescribedGroupMember)
    authorized_operations: int = int32("3+", default=-0x80000000)


@message("response", 15, "0-6", flexible="5+")
class DescribeGroupsResponse:
    """State and members per group."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    groups: list[DescribedGroup] = array(DescribedGroup)
