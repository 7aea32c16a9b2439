"""DescribeGroups v0-6: state and members of groups; every group that was asked for is answered.

v3: authorized operations. v4: instance ids. v5: flexible. v6: GROUP_ID_NOT_FOUND where older versions show a Dead
group without an error.
Deviations: none known.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group import asks
from moldau.core.coordinators.group.states import GroupState
from moldau.core.coordinators.waiting import gathered, mapped
from moldau.core.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from moldau.core.server.context import Context
from moldau.core.server.handlers._group_shared import GROUP_OPERATIONS, answered
from moldau.core.server.registry import handles


@handles(DescribeGroupsRequest)
def describe_groups(
    ctx: Context, request: DescribeGroupsRequest, version: int
) -> DescribeGroupsResponse | Pending[DescribeGroupsResponse]:
    def respond(groups: list[DescribedGroup]) -> DescribeGroupsResponse:
        if request.include_authorized_operations:
            for group in groups:
                if group.error_code == ErrorCode.NONE:
                    group.authorized_operations = GROUP_OPERATIONS
        return DescribeGroupsResponse(groups=groups)

    return mapped(gathered([_describe(ctx, group_id, version) for group_id in request.groups]), respond)


def _describe(ctx: Context, group_id: str, version: int) -> DescribedGroup | Pending[DescribedGroup]:
    def refused(error: ErrorCode) -> DescribedGroup:
        group = DescribedGroup(error_code=error, group_id=group_id)
        if error is ErrorCode.GROUP_ID_NOT_FOUND:
            group.group_state = GroupState.DEAD.value
            if version >= 6:
                group.error_message = f"Group {group_id} not found."
            else:
                group.error_code = ErrorCode.NONE
        return group

    return answered(ctx.groups.describe(group_id), _described, refused)


def _described(group: asks.DescribedGroup) -> DescribedGroup:
    return DescribedGroup(
        group_id=group.group_id,
        group_state=group.state.value,
        protocol_type=group.protocol_type,
        protocol_data=group.protocol,
        members=[DescribedGroupMember(*member) for member in group.members],
    )
