"""FindCoordinator on the wire's side."""

from __future__ import annotations

from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.config import OFFSETS_TOPIC
from moldau.core.metadata.creation import NewTopic
from moldau.core.protocol.messages.find_coordinator import FindCoordinatorRequest
from moldau.core.server.handlers.find_coordinator import find_coordinator
from tests.support.group_context import Broker
from tests.support.images import with_topics

HERE = (1, "10.0.0.1", 9092)
NOBODY = (-1, "", -1)


def made() -> Broker:
    return Broker(image=with_topics(NewTopic(OFFSETS_TOPIC, 1, 1)))


def told(answer: Any) -> list[tuple[str, int, tuple[int, str, int], str | None]]:
    return [(c.key, c.error_code, (c.node_id, c.host, c.port), c.error_message) for c in answer.coordinators]


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize("key_type", [0, 1])
def test_one_key(version: int, key_type: int) -> None:
    if version == 0 and key_type:
        return
    answer = made().ask(find_coordinator, FindCoordinatorRequest("g", key_type), version)
    assert (answer.error_code, answer.node_id, answer.host, answer.port) == (0, *HERE)
    assert answer.error_message == ("NONE" if version >= 1 else "")


@pytest.mark.parametrize("version", range(4, 7))
def test_several_keys(version: int) -> None:
    request = FindCoordinatorRequest(key_type=0, coordinator_keys=["a", "", "b"])
    assert told(made().ask(find_coordinator, request, version)) == [(key, 0, HERE, "") for key in ("a", "", "b")]


@pytest.mark.parametrize("key_type", [2, 9])
def test_other_kinds_are_refused(key_type: int) -> None:
    request = FindCoordinatorRequest(key_type=key_type, coordinator_keys=["k"])
    assert told(made().ask(find_coordinator, request, 6)) == [("k", ErrorCode.INVALID_REQUEST, NOBODY, "")]
    old = made().ask(find_coordinator, FindCoordinatorRequest("k", key_type), 3)
    assert (old.error_code, old.node_id, old.host, old.port) == (ErrorCode.INVALID_REQUEST, *NOBODY)


def test_the_topic_is_made_when_it_is_first_needed() -> None:
    broker = Broker()
    creation: Pending[Refusal | bool] = Pending()
    asked: list[str] = []

    def ensure_topic(name: str) -> Pending[Refusal | bool]:
        asked.append(name)
        return creation

    broker.controller.ensure_topic = ensure_topic
    waiting = broker.ask(find_coordinator, FindCoordinatorRequest(coordinator_keys=["g"]), 4)
    assert isinstance(waiting, Pending)
    broker.controller.image = with_topics(NewTopic(OFFSETS_TOPIC, 1, 1))
    creation.complete(True)
    assert (asked, told(waiting.value)) == ([OFFSETS_TOPIC], [("g", 0, HERE, "")])


def test_a_topic_that_cannot_be_made() -> None:
    broker = Broker()
    creation: Pending[Refusal | bool] = Pending()
    creation.complete(Refusal(ErrorCode.INVALID_REPLICATION_FACTOR))
    broker.controller.ensure_topic = lambda _name: creation
    answer = broker.ask(find_coordinator, FindCoordinatorRequest("g"), 1)
    assert (answer.error_code, answer.node_id, answer.port) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, -1, -1)


def test_a_transaction_needs_no_topic() -> None:
    request = FindCoordinatorRequest(key_type=1, coordinator_keys=["t"])
    assert told(Broker().ask(find_coordinator, request, 4)) == [("t", 0, HERE, "")]


def test_another_broker_is_named_by_its_listener() -> None:
    broker = made()
    image = broker.controller.image
    topic = image.topics_by_name[OFFSETS_TOPIC]
    broker.context.services.config = type(broker.context.config)(node_id=7)
    request = FindCoordinatorRequest(coordinator_keys=["g"])
    assert told(broker.ask(find_coordinator, request, 4)) == [("g", 0, (1, "localhost", 9092), "")]
    broker.context.listener_name = "ELSEWHERE"
    assert told(broker.ask(find_coordinator, request, 4)) == [("g", 15, NOBODY, "")]
    assert topic.partitions[0].leader == 1
