"""LeaveGroup on the wire's side."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.coordinators.group.states import GroupState
from moldau.core.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from moldau.core.server.handlers.leave_group import leave_group
from tests.support.group_context import Broker


@pytest.mark.parametrize("version", range(3))
def test_one_member_goes(version: int) -> None:
    broker = Broker()
    [member] = broker.groups.stable(1)
    request = LeaveGroupRequest("g", member)
    assert broker.ask(leave_group, request, version).error_code == 0
    assert broker.groups.state() is GroupState.EMPTY
    assert broker.ask(leave_group, request, version).error_code == ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("version", range(3, 6))
def test_several_members_go(version: int) -> None:
    broker = Broker()
    [member] = broker.groups.stable(1)
    leavers = [MemberIdentity(member), MemberIdentity("stranger"), MemberIdentity("", "i")]
    answer = broker.ask(leave_group, LeaveGroupRequest("g", members=leavers), version)
    assert answer.error_code == 0
    assert [(left.member_id, left.group_instance_id, left.error_code) for left in answer.members] == [
        (member, None, 0),
        ("stranger", None, 25),
        ("", "i", 25),
    ]


@pytest.mark.parametrize(("version", "top", "members"), [(2, 25, []), (3, 0, [25])])
def test_a_group_nobody_knows(version: int, top: int, members: list[int]) -> None:
    request = LeaveGroupRequest("nobody's", "m" if version < 3 else "", [MemberIdentity("m")] if version >= 3 else [])
    answer = Broker().ask(leave_group, request, version)
    assert (answer.error_code, [left.error_code for left in answer.members]) == (top, members)


def test_a_coordinator_that_is_elsewhere() -> None:
    broker = Broker()
    broker.groups.coordinator.on_partition_lost(0)
    answer = broker.ask(leave_group, LeaveGroupRequest("g", members=[MemberIdentity("m")]), 5)
    assert (answer.error_code, answer.members) == (ErrorCode.NOT_COORDINATOR, [])
