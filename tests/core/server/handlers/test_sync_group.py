"""SyncGroup on the wire's side."""

from __future__ import annotations

import pytest

from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from moldau.core.server.handlers.sync_group import sync_group
from tests.support.group_context import Broker
from tests.support.groups import Asked


@pytest.mark.parametrize("version", range(6))
def test_the_leader_brings_the_assignment(version: int) -> None:
    broker = Broker()
    broker.groups.join(version=3)
    request = SyncGroupRequest(
        group_id="g",
        generation_id=1,
        member_id="client-1",
        protocol_type="consumer",
        protocol_name="range",
        assignments=[SyncGroupRequestAssignment("client-1", b"all of it")],
    )
    answer = broker.ask(sync_group, request, version)
    assert (answer.error_code, answer.assignment) == (0, b"all of it")
    told = ("consumer", "range") if version >= 5 else (None, None)
    assert (answer.protocol_type, answer.protocol_name) == told


@pytest.mark.parametrize(("version", "error"), [(4, 25), (5, 23)])
def test_version_5_must_name_type_and_protocol_before_all_else(version: int, error: int) -> None:
    request = SyncGroupRequest(group_id="nobody's", generation_id=1, member_id="m", protocol_type="consumer")
    answer = Broker().ask(sync_group, request, version)
    assert (answer.error_code, answer.assignment) == (error, b"")


def test_a_follower_waits() -> None:
    broker = Broker()
    leader, follower = broker.groups.stable(2)
    broker.groups.join(leader)
    generation = broker.groups.join(follower).join.generation
    waiting = broker.ask(sync_group, SyncGroupRequest("g", generation, follower), 3)
    assert isinstance(waiting, Pending)
    broker.groups.sync(leader, generation, {follower: b"B"})
    assert Asked(waiting).answer.assignment == b"B"
