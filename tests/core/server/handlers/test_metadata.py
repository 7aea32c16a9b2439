"""Metadata on the wire: names and ids, auto-creation, what is cached."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)
from moldau.core.server.handlers import metadata as handler
from tests.core.server.handlers.conftest import Held, Reachable
from tests.support.asks import Topic, fetch_one, new_name, new_topic, produce, wait_for_topic
from tests.support.inprocess import InProcess
from tests.support.log_batches import make_batch
from tests.support.wire import Wire

UNSAID = -(1 << 31)
ALLOW_SINCE = 4
IDS_SINCE = 10


class Seen(NamedTuple):
    code: int
    name: str | None
    id: bytes = bytes(16)
    partitions: int = 0
    internal: bool = False


def seen(topic: MetadataResponseTopic) -> Seen:
    return Seen(topic.error_code, topic.name, topic.topic_id, len(topic.partitions), topic.is_internal)


def named(*names: str) -> list[MetadataRequestTopic]:
    return [MetadataRequestTopic(name=name) for name in names]


def by_id(topic_id: bytes, name: str | None = None) -> MetadataRequestTopic:
    return MetadataRequestTopic(topic_id=topic_id, name=name)


def request(asked: list[MetadataRequestTopic] | None, version: int, **more: Any) -> MetadataRequest:
    """Without auto-creation, where the version lets the client choose."""
    if version >= ALLOW_SINCE:
        more.setdefault("allow_auto_topic_creation", False)
    return MetadataRequest(asked, **more)


def whole(wire: Wire, asked: list[MetadataRequestTopic] | None, version: int = 12, **more: Any) -> MetadataResponse:
    return wire.call(request(asked, version, **more), MetadataResponse, version)


def ask(wire: Wire, asked: list[MetadataRequestTopic] | None, version: int = 12, **more: Any) -> list[Seen]:
    return [seen(topic) for topic in whole(wire, asked, version, **more).topics]


@pytest.fixture
def topic(wire: Wire) -> Topic:
    return new_topic(wire, 2)


# -- what there is


@pytest.mark.parametrize("version", range(14))
def test_a_topic_in_every_version(wire: Wire, shared: Reachable, topic: Topic, version: int) -> None:
    answer = whole(wire, named(topic.name), version)
    assert [(broker.node_id, broker.host, broker.port) for broker in answer.brokers] == [(1, shared.host, shared.port)]
    assert answer.cluster_id is None if version < 2 else answer.cluster_id
    assert answer.controller_id == (1 if version >= 1 else -1)
    assert answer.error_code == 0
    (found,) = answer.topics
    assert seen(found) == Seen(0, topic.name, topic.id if version >= IDS_SINCE else bytes(16), 2)
    assert found.topic_authorized_operations == UNSAID
    parts = sorted(found.partitions, key=lambda part: part.partition_index)
    assert [(part.partition_index, part.error_code, part.leader_id) for part in parts] == [(0, 0, 1), (1, 0, 1)]
    assert {part.leader_epoch for part in parts} == {0 if version >= 7 else -1}
    assert [(part.replica_nodes, part.isr_nodes, part.offline_replicas) for part in parts] == [([1], [1], [])] * 2


def test_all_topics_and_none(wire: Wire, topic: Topic) -> None:
    for version, all_topics in ((0, []), (1, None), (4, None), (12, None)):
        assert topic.name in {found.name for found in ask(wire, all_topics, version)}
    for version in (1, 4, 9, 12):
        answer = whole(wire, [], version)
        assert (answer.topics, len(answer.brokers)) == ([], 1)


def test_null_where_version_0_has_none_closes(wire: Wire) -> None:
    wire.send_frame(bytes.fromhex("0003 0000 00000001 ffff ffffffff"))
    assert wire.closed_by_broker()


def test_names_that_are_not_there(wire: Wire, topic: Topic) -> None:
    assert sorted(ask(wire, named("absent", topic.name))) == [
        Seen(0, topic.name, topic.id, 2),
        Seen(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "absent"),
    ]


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "x" * 250, "ä"])
@pytest.mark.parametrize("create", [False, True])
def test_names_that_cannot_be(wire: Wire, name: str, create: bool) -> None:
    assert ask(wire, named(name), allow_auto_topic_creation=create) == [Seen(ErrorCode.INVALID_TOPIC_EXCEPTION, name)]


def test_internal_topics_are_marked(wire: Wire) -> None:
    for name in ("__transaction_state", "__share_group_state"):
        assert ask(wire, named(name)) == [Seen(3, name, internal=True)]
    assert ask(wire, named("__cluster_metadata")) == [Seen(3, "__cluster_metadata")]
    offsets = wait_for_topic(wire, "__consumer_offsets")
    (found,) = ask(wire, named(offsets.name))
    assert (found.code, found.internal) == (0, True)


def test_names_asked_twice_are_answered_once(wire: Wire, topic: Topic) -> None:
    assert len(ask(wire, named(topic.name, "absent", topic.name, "absent"))) == 2


def test_operations_are_told_when_asked_for(wire: Wire, topic: Topic) -> None:
    asked = named(topic.name, "absent", "no topic's name")
    for version in (8, 10, 12):
        more = {"include_cluster_authorized_operations": True} if version <= 10 else {}
        answer = whole(wire, asked, version, include_topic_authorized_operations=True, **more)
        assert [found.topic_authorized_operations for found in answer.topics] == [3576] * 3
        assert answer.cluster_authorized_operations == (8096 if version <= 10 else UNSAID)
    answer = whole(wire, asked, 10)
    assert answer.cluster_authorized_operations == UNSAID


# -- ids


@pytest.mark.parametrize("version", [12, 13])
def test_topics_by_id(wire: Wire, topic: Topic, version: int) -> None:
    found, unknown = Seen(0, topic.name, topic.id, 2), bytes(range(16))
    assert ask(wire, [by_id(topic.id)], version) == [found]
    assert ask(wire, [by_id(topic.id, "absent")], version) == [found], "the id counts"
    assert ask(wire, [by_id(topic.id), by_id(topic.id)], version) == [found]
    assert ask(wire, [by_id(unknown)], version) == [Seen(ErrorCode.UNKNOWN_TOPIC_ID, None, unknown)]
    assert ask(wire, [by_id(unknown, topic.name)], version) == [Seen(ErrorCode.UNKNOWN_TOPIC_ID, None, unknown)]


def test_one_id_drops_all_names(wire: Wire, topic: Topic) -> None:
    other = new_topic(wire)
    assert ask(wire, [*named(other.name, "absent"), by_id(topic.id)]) == [Seen(0, topic.name, topic.id, 2)]


def assert_refused_as_a_whole(answer: MetadataResponse, code: int) -> None:
    assert {topic.error_code for topic in answer.topics} == {code}
    assert (answer.brokers, answer.cluster_id, answer.controller_id) == ([], None, -1)


@pytest.mark.parametrize("version", [10, 11])
def test_ids_are_no_question_before_version_12(wire: Wire, topic: Topic, version: int) -> None:
    for asked in ([by_id(topic.id)], [by_id(bytes(16))], [by_id(topic.id, "named"), *named(topic.name)]):
        answer = whole(wire, asked, version)
        assert_refused_as_a_whole(answer, ErrorCode.INVALID_REQUEST)
        assert [(each.name, each.topic_id) for each in answer.topics] == [
            (each.name or "", each.topic_id) for each in asked
        ]


@pytest.mark.parametrize("version", [12, 13])
def test_neither_name_nor_id_is_no_question(wire: Wire, topic: Topic, version: int) -> None:
    answer = whole(wire, [*named(topic.name), by_id(bytes(16))], version)
    assert_refused_as_a_whole(answer, ErrorCode.UNKNOWN_SERVER_ERROR)
    assert [each.name for each in answer.topics] == [topic.name, ""]
    assert answer.error_code == (ErrorCode.UNKNOWN_SERVER_ERROR if version >= 13 else 0)


# -- auto-creation


@pytest.mark.parametrize("version", [0, 3, 4, 12])
def test_a_topic_is_made_when_its_metadata_is_asked_for(wire: Wire, version: int, oracle: bool) -> None:
    name = new_name()
    more = {"allow_auto_topic_creation": True} if version >= ALLOW_SINCE else {}
    (first,) = ask(wire, named(name), version, **more)
    if not oracle:  # which says 3 first
        assert (first.code, first.name, first.partitions) == (0, name, 1)
    topic = wait_for_topic(wire, name)
    if oracle:
        return
    assert produce(wire, topic, make_batch()).error_code == 0, "it takes records at once"
    assert fetch_one(wire, topic).high_watermark == 1


def test_no_topic_is_made_against_the_clients_will(wire: Wire) -> None:
    name = new_name()
    for _ in range(2):
        assert ask(wire, named(name)) == [Seen(3, name)]


def test_nobody_makes_a_topic_by_its_id(wire: Wire) -> None:
    name, unknown = new_name(), bytes(range(16))
    assert ask(wire, [by_id(unknown, name)], allow_auto_topic_creation=True) == [Seen(100, None, unknown)]
    assert ask(wire, named(name)) == [Seen(3, name)]


def test_a_colliding_name_stays_unknown(wire: Wire) -> None:
    name = "a.b" + new_name()
    new_topic(wire, name=name)
    alike = name.replace(".", "_")
    for _ in range(2):
        assert ask(wire, named(alike), allow_auto_topic_creation=True) == [Seen(3, alike)]


def test_auto_creation_waits_for_its_commit(held: Held) -> None:
    held.files.hold()
    name = new_name()
    asked = held.wire.send(request(named(name), 12, allow_auto_topic_creation=True), 12)
    with held.broker.connect() as other:
        assert ask(other, named(name)) == [Seen(3, name)], "nobody sees what is not committed"
        again = other.send(request(named(name), 12, allow_auto_topic_creation=True), 12)
        held.broker.turns()
        held.files.release()
        for wire, question in ((held.wire, asked), (other, again)):
            (found,) = wire.receive(question, MetadataResponse, 12).topics
            assert (found.error_code, found.name, len(found.partitions)) == (0, name, 1)


def test_a_topic_that_cannot_be_stored_is_not_made(held: Held) -> None:
    held.files.break_syncs(OSError(5, "EIO"))
    name = new_name()
    assert ask(held.wire, named(name), allow_auto_topic_creation=True) == [Seen(3, name)]


def test_topics_of_what_is_not_served_are_not_made(held: Held) -> None:
    for name in ("__transaction_state", "__share_group_state", "__cluster_metadata"):
        (found,) = ask(held.wire, named(name), allow_auto_topic_creation=True)
        assert found.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_so_many_topics_at_once(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "CREATED_MAX", 3)
    names = [new_name() for _ in range(5)]
    codes = [found.code for found in ask(held.wire, named(*names), allow_auto_topic_creation=True)]
    assert codes == [0, 0, 0, 3, 3]
    assert [found.code for found in ask(held.wire, named(*names), allow_auto_topic_creation=True)] == [0] * 5


def test_a_broker_that_makes_no_topics(tmp_path: Path, oracle: bool) -> None:
    if oracle:
        pytest.skip("needs a broker of its own")
    with InProcess(tmp_path, {"auto.create.topics.enable": "false"}) as broker, broker.connect() as wire:
        name = new_name()
        for _ in range(2):
            assert ask(wire, named(name), allow_auto_topic_creation=True) == [Seen(3, name)]


# -- addresses and the cache


def test_clients_are_told_the_advertised_address_or_the_one_they_came_by(tmp_path: Path, oracle: bool) -> None:
    if oracle:
        pytest.skip("needs a broker of its own")
    settings = {
        "listeners": "ONE://127.0.0.1:0,TWO://127.0.0.1:0",
        "advertised.listeners": "TWO://broker.example:19092",
    }
    with InProcess(tmp_path, settings) as broker:
        ports = [endpoint.port for endpoint in broker.broker.endpoints]
        addresses = []
        for port in ports:
            with Wire(broker.host, port) as wire:
                (node,) = whole(wire, None).brokers
                addresses.append((node.host, node.port))
    assert addresses == [("127.0.0.1", ports[0]), ("broker.example", 19092)]


def test_questions_are_answered_from_the_cache_until_the_metadata_changes(held: Held) -> None:
    topic = new_topic(held.wire)
    cache = held.broker.on_loop(lambda: held.broker.broker._connections.services.metadata_cache)
    cache.clear()
    first = whole(held.wire, named(topic.name))
    assert len(cache) == 1
    assert whole(held.wire, named(topic.name)) == first
    assert len(cache) == 1
    new_topic(held.wire)
    assert whole(held.wire, named(topic.name)).topics == first.topics
    assert len(cache) >= 2


def test_strangers_do_not_fill_the_cache(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = held.broker.on_loop(lambda: held.broker.broker._connections.services.metadata_cache)
    cache.clear()
    ask(held.wire, named(*(f"absent-{number}" for number in range(handler.CACHED_TOPICS_MAX + 1))))
    assert not cache
    monkeypatch.setattr(handler, "CACHED_BYTES_MAX", 10)
    ask(held.wire, named("absent"))
    assert not cache
    monkeypatch.undo()
    for number in range(handler.CACHE_MAX + 1):
        ask(held.wire, named(f"absent-{number}"))
    assert len(cache) == 1
    monkeypatch.setattr(handler, "CACHE_BYTES_MAX", 10)
    ask(held.wire, named("absent"))
    assert len(cache) == 1
