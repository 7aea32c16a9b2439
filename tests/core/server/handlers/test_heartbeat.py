"""Heartbeat on the wire's side."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.heartbeat import HeartbeatRequest
from moldau.core.server.handlers.heartbeat import heartbeat
from tests.support.group_context import Broker


@pytest.mark.parametrize("version", range(5))
def test_a_member_is_told_whether_it_may_go_on(version: int) -> None:
    broker = Broker()
    [member] = broker.groups.stable(1)
    request = HeartbeatRequest("g", 1, member)
    assert broker.ask(heartbeat, request, version).error_code == 0
    broker.groups.join()
    broker.groups.join("client-2")
    assert broker.ask(heartbeat, request, version).error_code == ErrorCode.REBALANCE_IN_PROGRESS
    assert broker.ask(heartbeat, HeartbeatRequest("g", 7, member), version).error_code == ErrorCode.ILLEGAL_GENERATION
    assert broker.ask(heartbeat, HeartbeatRequest("", 1, member), version).error_code == ErrorCode.INVALID_GROUP_ID


def test_an_instance_is_fenced() -> None:
    broker = Broker()
    broker.groups.join(instance="i")
    request = HeartbeatRequest("g", 1, "somebody else", "i")
    assert broker.ask(heartbeat, request, 3).error_code == ErrorCode.FENCED_INSTANCE_ID
