"""DescribeConfigs on the wire's side."""

from __future__ import annotations

import pytest

from moldau.core.metadata.config_view import NOT_ACTED_ON
from moldau.core.metadata.configs import topic_options
from moldau.core.metadata.creation import NewTopic
from moldau.core.protocol import codec
from moldau.core.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from moldau.core.server.configs import options
from moldau.core.server.handlers.describe_configs import describe_configs
from tests.support.handler_context import context, started
from tests.support.manual_log import Node

TOPIC, BROKER = 2, 4


@pytest.fixture
def node() -> Node:
    node = started()
    node.controller.create_topics([NewTopic("t", configs=[("retention.ms", "5"), ("flush.messages", "1")])])
    node.log.sync()
    return node


def described(node: Node, kind: int, name: str, keys: list[str] | None = None, **more: bool) -> DescribeConfigsResult:
    request = DescribeConfigsRequest([DescribeConfigsResource(kind, name, keys)], **more)
    (result,) = describe_configs(context(node, log_segment_bytes="2097152"), request, 4).results
    assert (result.resource_type, result.resource_name) == (kind, name)
    return result


@pytest.mark.parametrize("keys", [None, []])
def test_all_settings_of_a_topic(node: Node, keys: list[str] | None) -> None:
    result = described(node, TOPIC, "t", keys)
    assert (result.error_code, result.error_message) == (0, "")
    assert {config.name for config in result.configs} == set(topic_options())
    sources = {config.name: config.config_source for config in result.configs}
    assert (sources["retention.ms"], sources["segment.bytes"], sources["segment.ms"]) == (1, 4, 5)
    assert all(config.synonyms == [] and config.documentation is None for config in result.configs)


def test_chosen_settings_with_synonyms_and_documentation(node: Node) -> None:
    result = described(
        node,
        TOPIC,
        "t",
        ["flush.messages", "unknown", "preallocate"],
        include_synonyms=True,
        include_documentation=True,
    )
    by_name = {config.name: config for config in result.configs}
    assert set(by_name) == {"flush.messages", "preallocate"}
    flush = by_name["flush.messages"]
    assert [(synonym.name, synonym.value, synonym.source) for synonym in flush.synonyms] == [
        ("flush.messages", "1", 1),
        ("log.flush.interval.messages", "9223372036854775807", 5),
    ]
    assert flush.config_type == 5
    assert by_name["preallocate"].documentation.endswith(NOT_ACTED_ON)  # type: ignore[union-attr]


def test_all_settings_of_this_broker(node: Node) -> None:
    result = described(node, BROKER, "1", None, include_synonyms=True)
    shown = {config.name for config in result.configs}
    assert set(options()) - shown == {
        "log.retention.minutes",
        "log.retention.hours",
        "log.roll.hours",
        "log.roll.jitter.hours",
        "log.flush.scheduler.interval.ms",
    }
    by_name = {config.name: config for config in result.configs}
    assert (by_name["log.segment.bytes"].value, by_name["log.segment.bytes"].config_source) == ("2097152", 4)
    assert by_name["num.partitions"].read_only


def test_settings_of_all_brokers_at_once(node: Node) -> None:
    assert described(node, BROKER, "").configs == []


@pytest.mark.parametrize(
    ("kind", "name", "code", "message"),
    [
        (TOPIC, "nothing", 3, ""),
        (TOPIC, "", 17, "Topic name is invalid: the empty string is not allowed"),
        (BROKER, "9", 42, "Unexpected broker id, expected 1 or empty string, but received 9"),
        (BROKER, "x", 42, "Broker id must be an integer, but it is: x"),
        (3, "a", 42, "Resources of type 3 have no settings here"),
    ],
)
def test_refusals(node: Node, kind: int, name: str, code: int, message: str) -> None:
    result = described(node, kind, name)
    assert (result.error_code, result.error_message, result.configs) == (code, message, [])


@pytest.mark.parametrize("version", range(1, 5))
def test_answers_fit_every_version(node: Node, version: int) -> None:
    request = DescribeConfigsRequest([DescribeConfigsResource(TOPIC, "t", None)], True)
    response = describe_configs(context(node), request, version)
    assert codec.encoder(DescribeConfigsResponse, version)(response)
