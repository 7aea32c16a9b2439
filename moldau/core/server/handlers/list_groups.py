"""ListGroups v0-5: the groups this broker coordinates. v3: flexible. v4: filter by state. v5: filter by type.

Filters do not care for upper and lower case. Deviations: classic groups are the only ones there are.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group import asks
from moldau.core.protocol.messages.list_groups import ListedGroup, ListGroupsRequest, ListGroupsResponse
from moldau.core.server.context import Context
from moldau.core.server.handlers._group_shared import answered
from moldau.core.server.registry import handles

CLASSIC = "classic"


@handles(ListGroupsRequest)
def list_groups(
    ctx: Context, request: ListGroupsRequest, version: int
) -> ListGroupsResponse | Pending[ListGroupsResponse]:
    states = {state.lower() for state in request.states_filter}
    types = {each.lower() for each in request.types_filter}

    def accepted(groups: list[asks.ListedGroup]) -> ListGroupsResponse:
        listed = [
            ListedGroup(group.group_id, group.protocol_type, group.state.value, CLASSIC)
            for group in groups
            if (not states or group.state.value.lower() in states) and (not types or CLASSIC in types)
        ]
        return ListGroupsResponse(groups=listed)

    return answered(ctx.groups.list_groups(), accepted, _refused)


def _refused(error: ErrorCode) -> ListGroupsResponse:
    return ListGroupsResponse(error_code=error)
