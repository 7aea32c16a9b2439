"""Heartbeat v0-4: a member is alive; 27 tells it to join again. v3: static members. v4: flexible.

While its group is still being loaded a member hears that all is well. Deviations: none known.
"""

from __future__ import annotations

from moldau.core.base.pending import Pending
from moldau.core.coordinators.waiting import mapped
from moldau.core.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from moldau.core.server.context import Context
from moldau.core.server.registry import handles


@handles(HeartbeatRequest)
def heartbeat(ctx: Context, request: HeartbeatRequest, version: int) -> HeartbeatResponse | Pending[HeartbeatResponse]:
    answer = ctx.groups.heartbeat(request.group_id, request.member_id, request.group_instance_id, request.generation_id)
    return mapped(answer, lambda error: HeartbeatResponse(error_code=error))
