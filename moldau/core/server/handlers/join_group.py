"""JoinGroup v0-9: enter a group and wait for its next generation.

v0 has no rebalance timeout: the session timeout stands for it. v4 asks for a second request with the member id it
hands out. v5: static members. v6: flexible. v7: protocol type in the answer, no protocol as null. v8: a reason, which
only Kafka's log would show. v9: a returning static leader is told that it need not assign.

Deviations: a join that is refused for its protocols does not create the group; a member that asks again while its
first request waits gets REBALANCE_IN_PROGRESS for the first.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.asks import Join, JoinAnswer
from moldau.core.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember
from moldau.core.server.context import Context
from moldau.core.server.handlers._group_shared import answered, client_host
from moldau.core.server.registry import handles


@handles(JoinGroupRequest)
def join_group(ctx: Context, request: JoinGroupRequest, version: int) -> JoinGroupResponse | Pending[JoinGroupResponse]:
    ask = Join(
        group_id=request.group_id,
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        client_id=ctx.client_id or "",
        client_host=client_host(ctx.client_host),
        protocol_type=request.protocol_type,
        protocols=tuple((protocol.name, protocol.metadata) for protocol in request.protocols),
        session_timeout_ms=request.session_timeout_ms,
        rebalance_timeout_ms=request.rebalance_timeout_ms if version >= 1 else request.session_timeout_ms,
        needs_member_id=version >= 4,
        knows_skip_assignment=version >= 9,
    )

    def accepted(answer: JoinAnswer) -> JoinGroupResponse:
        return _response(answer, version)

    def refused(error: ErrorCode) -> JoinGroupResponse:
        return _response(JoinAnswer(error=error), version)

    return answered(ctx.groups.join(ask), accepted, refused)


def _response(answer: JoinAnswer, version: int) -> JoinGroupResponse:
    return JoinGroupResponse(
        error_code=answer.error,
        generation_id=answer.generation,
        protocol_type=answer.protocol_type,
        protocol_name=answer.protocol if answer.protocol is not None or version >= 7 else "",
        leader=answer.leader,
        skip_assignment=answer.skip_assignment,
        member_id=answer.member_id,
        members=[JoinGroupResponseMember(*member) for member in answer.members],
    )
