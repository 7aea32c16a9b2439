"""DescribeGroups on the wire's side."""

from __future__ import annotations

import pytest

from moldau.core.protocol.messages.describe_groups import DescribeGroupsRequest
from moldau.core.server.handlers.describe_groups import describe_groups
from tests.support.group_context import Broker

NOT_ASKED = -0x80000000


@pytest.mark.parametrize("version", range(7))
def test_every_group_is_answered(version: int) -> None:
    broker = Broker()
    broker.groups.stable(1)
    stable, missing, again = broker.ask(describe_groups, DescribeGroupsRequest(["g", "x", "g"]), version).groups
    assert stable == again
    assert (stable.error_code, stable.group_id, stable.group_state) == (0, "g", "Stable")
    assert (stable.protocol_type, stable.protocol_data, stable.authorized_operations) == (
        "consumer",
        "range",
        NOT_ASKED,
    )
    [member] = stable.members
    assert (member.member_id, member.client_id, member.client_host) == ("client-1", "client", "/127.0.0.1")
    assert (member.member_metadata, member.member_assignment) == (b"wants t", b"0")
    assert (missing.group_id, missing.group_state, missing.members) == ("x", "Dead", [])
    assert (missing.error_code, missing.error_message) == ((69, "Group x not found.") if version >= 6 else (0, None))


@pytest.mark.parametrize(("version", "missing"), [(3, 3400), (6, NOT_ASKED)])
def test_operations_are_told_when_asked_for(version: int, missing: int) -> None:
    broker = Broker()
    broker.groups.stable(1)
    request = DescribeGroupsRequest(["g", "x"], include_authorized_operations=True)
    answer = broker.ask(describe_groups, request, version)
    assert [group.authorized_operations for group in answer.groups] == [3400, missing]


def test_instances_are_told_from_version_4() -> None:
    broker = Broker()
    broker.groups.join(instance="i")
    for version, instance in ((3, None), (4, "i")):
        [group] = broker.ask(describe_groups, DescribeGroupsRequest(["g"]), version).groups
        assert group.members[0].group_instance_id == instance


def test_a_coordinator_that_is_elsewhere() -> None:
    broker = Broker()
    broker.groups.coordinator.on_partition_lost(0)
    request = DescribeGroupsRequest(["g"], include_authorized_operations=True)
    [group] = broker.ask(describe_groups, request, 6).groups
    assert (group.error_code, group.group_id, group.group_state) == (16, "g", "")
    assert group.authorized_operations == NOT_ASKED
    assert broker.ask(describe_groups, DescribeGroupsRequest([]), 6).groups == []
