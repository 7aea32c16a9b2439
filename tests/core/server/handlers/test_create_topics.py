"""CreateTopics on the wire's side."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol import codec
from moldau.core.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from moldau.core.server.handlers.create_topics import create_topics
from tests.support.handler_context import answer, context, started


def wanted(name: str, count: int = -1, factor: int = -1) -> CreatableTopic:
    return CreatableTopic(name, count, factor)


def test_a_topic_is_made_and_its_settings_are_told() -> None:
    node = started()
    topic = wanted("orders", 2, 1)
    topic.configs = [CreatableTopicConfig("flush.messages", "1")]
    pending = create_topics(context(node, log_retention_ms="5"), CreateTopicsRequest([topic]), 7)
    assert not pending.done
    (result,) = answer(node, pending).topics
    made = node.controller.image.topics_by_name["orders"]
    assert (result.name, result.topic_id, result.error_code, result.error_message) == ("orders", made.id, 0, None)
    assert (result.num_partitions, result.replication_factor) == (2, 1)
    settings = {config.name: (config.value, config.config_source) for config in result.configs}
    assert settings["flush.messages"] == ("1", 1)
    assert settings["retention.ms"] == ("5", 4)
    assert settings["segment.ms"] == ("604800000", 5)


def test_refusals_carry_kafkas_numbers() -> None:
    node = started()
    request = CreateTopicsRequest([wanted("a b"), wanted("ok"), wanted("twice"), wanted("twice")])
    results = answer(node, create_topics(context(node), request, 7)).topics
    assert [(result.name, result.error_code) for result in results] == [("a b", 17), ("ok", 0), ("twice", 42)]
    bad = results[0]
    assert (bad.topic_id, bad.num_partitions, bad.replication_factor, bad.configs) == (bytes(16), -1, -1, [])
    assert bad.error_message.startswith("Topic name is invalid")


def test_assignments() -> None:
    node = started()
    topic = wanted("m")
    topic.assignments = [CreatableReplicaAssignment(1, [1]), CreatableReplicaAssignment(0, [1])]
    (result,) = answer(node, create_topics(context(node), CreateTopicsRequest([topic]), 7)).topics
    assert (result.error_code, result.num_partitions, result.replication_factor) == (0, 2, 1)


def test_validation_only_and_no_time() -> None:
    node = started()
    pending = create_topics(context(node), CreateTopicsRequest([wanted("v")], validate_only=True), 7)
    assert answer(node, pending).topics[0].error_code == ErrorCode.NONE
    assert node.controller.image.topics_by_name == {}
    late = create_topics(context(node), CreateTopicsRequest([wanted("v")], 0), 7)
    (result,) = answer(node, late).topics
    assert (result.error_code, result.error_message) == (ErrorCode.REQUEST_TIMED_OUT, None)


@pytest.mark.parametrize("version", range(2, 8))
def test_answers_fit_every_version(version: int) -> None:
    node = started()
    response = answer(node, create_topics(context(node), CreateTopicsRequest([wanted("a"), wanted("b c")]), version))
    assert codec.encoder(CreateTopicsResponse, version)(response)
