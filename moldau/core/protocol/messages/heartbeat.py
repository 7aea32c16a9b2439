"""Heartbeat (API key 12): a member is alive. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import int16, int32, message, string


@message("request", 12, "0-4", flexible="4+")
class HeartbeatRequest:
    """Who is alive, in which generation."""

    group_id: str = string(entity="groupId")
    generation_id: int = int32()
    member_id: str = string()
    group_instance_id: str | None = string("3+", nullable="3+", default=None)


@message("response", 12, "0-4", flexible="4+")
class HeartbeatResponse:
    """Whether the member may go on."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16()
