"""SyncGroup v0-5: the leader brings the assignment, everyone gets their part.

v3: static members. v4: flexible. v5: protocol type and name, both demanded and compared.
Deviations: none known.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.asks import Sync, SyncAnswer
from moldau.core.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from moldau.core.server.context import Context
from moldau.core.server.handlers._group_shared import answered
from moldau.core.server.registry import handles


@handles(SyncGroupRequest)
def sync_group(ctx: Context, request: SyncGroupRequest, version: int) -> SyncGroupResponse | Pending[SyncGroupResponse]:
    if version >= 5 and (request.protocol_type is None or request.protocol_name is None):
        return _refused(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    ask = Sync(
        group_id=request.group_id,
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        generation=request.generation_id,
        protocol_type=request.protocol_type,
        protocol=request.protocol_name,
        assignments={assignment.member_id: assignment.assignment for assignment in request.assignments},
    )
    return answered(ctx.groups.sync(ask), _accepted, _refused)


def _accepted(answer: SyncAnswer) -> SyncGroupResponse:
    return SyncGroupResponse(
        protocol_type=answer.protocol_type, protocol_name=answer.protocol, assignment=answer.assignment
    )


def _refused(error: ErrorCode) -> SyncGroupResponse:
    return SyncGroupResponse(error_code=error)
