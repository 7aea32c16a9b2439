"""ListGroups (API key 16): the groups a broker coordinates. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int16, int32, message, string, struct


@message("request", 16, "0-5", flexible="3+")
class ListGroupsRequest:
    """Filters by state and type."""

    states_filter: list[str] = array(string(), "4+")
    types_filter: list[str] = array(string(), "5+")


@struct
class ListedGroup:
    group_id: str = string(entity="groupId")
    protocol_type: str = string()
    group_state: str = string("4+", ignorable=True)
    group_type: str = string("5+", ignorable=True)


@message("response", 16, "0-5", flexible="3+")
class ListGroupsResponse:
    """The groups."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16()
    groups: list[ListedGroup] = array(ListedGroup)
