"""LeaveGroup v0-5: members go, so that their group need not wait for their sessions to end.

Before v3 one member, whose fate is the answer; from v3 a list, with one error each, where an instance id without a
member id is an administrator's removal. v4: flexible. v5: a reason, which only Kafka's log would show.
Deviations: none known.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.asks import Leaver, Left
from moldau.core.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberResponse
from moldau.core.server.context import Context
from moldau.core.server.handlers._group_shared import answered
from moldau.core.server.registry import handles


@handles(LeaveGroupRequest)
def leave_group(
    ctx: Context, request: LeaveGroupRequest, version: int
) -> LeaveGroupResponse | Pending[LeaveGroupResponse]:
    if version >= 3:
        leavers = [Leaver(member.member_id, member.group_instance_id) for member in request.members]
    else:
        leavers = [Leaver(request.member_id, None)]

    def accepted(answers: list[Left]) -> LeaveGroupResponse:
        if version < 3:
            return LeaveGroupResponse(error_code=answers[0].error)
        return LeaveGroupResponse(members=[MemberResponse(*answer) for answer in answers])

    return answered(ctx.groups.leave(request.group_id, leavers), accepted, _refused)


def _refused(error: ErrorCode) -> LeaveGroupResponse:
    return LeaveGroupResponse(error_code=error)
