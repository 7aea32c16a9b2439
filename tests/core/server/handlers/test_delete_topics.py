"""DeleteTopics on the wire's side."""

from __future__ import annotations

import pytest

from moldau.core.metadata.creation import NewTopic
from moldau.core.protocol import codec
from moldau.core.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from moldau.core.server.handlers.delete_topics import delete_topics
from tests.support.handler_context import answer, context, started
from tests.support.manual_log import Node


def with_topics() -> Node:
    node = started()
    node.controller.create_topics([NewTopic("a"), NewTopic("b")])
    node.log.sync()
    return node


def test_by_name_before_version_6() -> None:
    node = with_topics()
    request = DeleteTopicsRequest(topic_names=["a", "nothing"], timeout_ms=1000)
    pending = delete_topics(context(node), request, 5)
    assert not pending.done
    results = answer(node, pending).responses
    assert [(result.name, result.error_code) for result in results] == [("a", 0), ("nothing", 3)]
    assert list(node.controller.image.topics_by_name) == ["b"]


def test_by_id_from_version_6() -> None:
    node = with_topics()
    a = node.controller.image.topics_by_name["a"].id
    request = DeleteTopicsRequest(
        topics=[DeleteTopicState(None, a), DeleteTopicState(None, b"x" * 16)], timeout_ms=1000
    )
    results = answer(node, delete_topics(context(node), request, 6)).responses
    assert [(result.name, result.topic_id, result.error_code) for result in results] == [
        ("a", a, 0),
        (None, b"x" * 16, 100),
    ]


def test_no_time_to_wait() -> None:
    node = with_topics()
    request = DeleteTopicsRequest(topics=[DeleteTopicState("a"), DeleteTopicState("a")], timeout_ms=0)
    results = answer(node, delete_topics(context(node), request, 6)).responses
    assert [(result.name, result.error_code, result.error_message) for result in results] == [("a", 7, None)]
    assert "a" in node.controller.image.topics_by_name


@pytest.mark.parametrize("version", range(1, 7))
def test_answers_fit_every_version(version: int) -> None:
    node = with_topics()
    request = DeleteTopicsRequest(
        topics=[DeleteTopicState("a"), DeleteTopicState("z")], topic_names=["a", "z"], timeout_ms=1000
    )
    response = answer(node, delete_topics(context(node), request, version))
    assert codec.encoder(DeleteTopicsResponse, version)(response)
