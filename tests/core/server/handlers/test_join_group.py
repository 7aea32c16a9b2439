"""JoinGroup on the wire's side."""

from __future__ import annotations

from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from moldau.core.server.handlers.join_group import join_group
from tests.support.group_context import Broker
from tests.support.groups import Asked, Groups


def request(**how: Any) -> JoinGroupRequest:
    settings: dict[str, Any] = {
        "group_id": "g",
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 60_000,
        "protocol_type": "consumer",
        "protocols": [JoinGroupRequestProtocol("range", b"wants t")],
    }
    return JoinGroupRequest(**{**settings, **how})


@pytest.mark.parametrize("version", range(4))
def test_older_clients_are_in_at_once(version: int) -> None:
    answer = Broker().ask(join_group, request(), version)
    assert (answer.error_code, answer.generation_id, answer.protocol_name) == (0, 1, "range")
    assert answer.leader == answer.member_id == "client-1"
    assert [(member.member_id, member.metadata) for member in answer.members] == [("client-1", b"wants t")]


@pytest.mark.parametrize("version", range(4, 10))
def test_newer_clients_come_twice(version: int) -> None:
    broker = Broker()
    first = broker.ask(join_group, request(), version)
    assert (first.error_code, first.generation_id, first.leader, first.members) == (79, -1, "", [])
    assert (first.protocol_type, first.protocol_name) == (None, None if version >= 7 else "")
    second = broker.ask(join_group, request(member_id=first.member_id), version)
    assert (second.error_code, second.member_id) == (0, first.member_id)
    assert second.protocol_type == ("consumer" if version >= 7 else None)


def test_version_0_has_one_timeout() -> None:
    broker = Broker()
    broker.ask(join_group, request(), 0)
    [member] = broker.groups.shard().groups["g"].members
    assert (member.session_timeout_ms, member.rebalance_timeout_ms) == (10_000, 10_000)


def test_a_static_leader_that_comes_back() -> None:
    broker = Broker()
    first = broker.ask(join_group, request(group_instance_id="i"), 9)
    broker.groups.sync(first.member_id, 1, {}, instance="i")
    back = broker.ask(join_group, request(group_instance_id="i"), 9)
    assert (back.skip_assignment, back.leader, back.members[0].group_instance_id) == (True, back.member_id, "i")


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"group_id": ""}, ErrorCode.INVALID_GROUP_ID),
        ({"session_timeout_ms": 5999}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"protocols": []}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"member_id": "stranger"}, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
@pytest.mark.parametrize("version", [0, 6, 7, 9])
def test_refusals_name_the_member(how: dict[str, Any], error: ErrorCode, version: int) -> None:
    answer = Broker().ask(join_group, request(**how), version)
    assert (answer.error_code, answer.member_id) == (error, how.get("member_id", ""))
    assert answer.protocol_name == (None if version >= 7 else "")


def test_the_address_is_stored_as_java_writes_it() -> None:
    broker = Broker()
    broker.context.client_id = None
    broker.ask(join_group, request(), 3)
    [member] = broker.groups.describe().members
    assert (member.client_id, member.client_host, member.member_id) == ("", "/127.0.0.1", "-1")


def test_a_join_waits_for_the_others() -> None:
    broker = Broker(Groups())
    broker.groups.stable(1)
    waiting = broker.ask(join_group, request(), 3)
    assert isinstance(waiting, Pending)
    broker.groups.join("client-1")
    assert Asked(waiting).answer.generation_id == 2
