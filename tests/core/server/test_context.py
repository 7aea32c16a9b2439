"""What a handler learns from its context."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.metadata.creation import NewTopic
from moldau.core.server.config import Endpoint
from moldau.core.server.context import Context
from tests.support.images import with_topics

IMAGE = with_topics(NewTopic("orders", 2))
ORDERS = IMAGE.topics_by_name["orders"]


def context(**services: Any) -> Context:
    known = {
        "controller": SimpleNamespace(image=IMAGE),
        "replicas": SimpleNamespace(by_name={"orders": [object(), None]}),
        "advertised": {"OUTSIDE": Endpoint("OUTSIDE", "broker.example", 19092)},
    }
    found = SimpleNamespace(**{**known, **services})
    return Context(cast(Any, found), "INSIDE", "10.0.0.7", ("10.0.0.1", 9092))


def test_services_are_passed_on() -> None:
    parts = {name: object() for name in ("config", "clock", "controller", "config_view", "replicas", "groups")}
    ctx = context(**parts)
    assert {name: getattr(ctx, name) for name in parts} == parts
    assert context().image is IMAGE


def test_a_connection_begins_without_names() -> None:
    ctx = context()
    assert (ctx.client_id, ctx.client_software, ctx.client_host) == (None, ("", ""), "10.0.0.7")


@pytest.mark.parametrize(
    ("topic", "topic_id", "index", "leader"),
    [
        ("orders", bytes(16), 1, (1, 0)),
        ("", ORDERS.id, 0, (1, 0)),
        ("orders", bytes(16), 2, (-1, -1)),
        ("orders", bytes(16), -1, (-1, -1)),
        ("absent", bytes(16), 0, (-1, -1)),
    ],
)
def test_who_leads(topic: str, topic_id: bytes, index: int, leader: tuple[int, int]) -> None:
    assert context().leader_of(topic, topic_id, index) == leader


@pytest.mark.parametrize(
    ("topic", "index", "code"),
    [
        ("orders", 1, ErrorCode.NOT_LEADER_OR_FOLLOWER),
        ("orders", 2, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("orders", -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("absent", 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    ],
)
def test_why_a_partition_is_not_here(topic: str, index: int, code: ErrorCode) -> None:
    assert context().why_not_here(topic, index) == code


def test_where_clients_are_told_to_go() -> None:
    inside = context()
    assert inside.advertised_host() == ("10.0.0.1", 9092)
    inside.listener_name = "OUTSIDE"
    assert inside.advertised_host() == ("broker.example", 19092)
