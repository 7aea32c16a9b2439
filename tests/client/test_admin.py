"""Questions to a cluster as plain values; an AdminClient in memory answers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupState, ConsumerGroupType, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigSource

from moldau.client import admin
from moldau.client.admin import Cluster, Config, GroupListing, Member, Partition
from moldau.client.config import Connection
from moldau.client.errors import NotFound


def done(answer: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(answer, int):
        future.set_exception(KafkaException(KafkaError(answer)))
    else:
        future.set_result(answer)
    return future


def node(number: int) -> Any:
    return SimpleNamespace(id=number)


class FakeAdmin:
    """Answers from attributes; an int is an error code. `answers` of one call are used up one after another."""

    def __init__(self) -> None:
        self.answers: dict[str, Iterator[Any]] = {}
        self.asked: list[tuple[str, Any]] = []

    def give(self, call: str, *answers: Any) -> None:
        self.answers[call] = iter(answers)

    def __getattr__(self, call: str) -> Any:
        def answer(*arguments: Any, **_limits: Any) -> Any:
            self.asked.append((call, arguments))
            given = next(self.answers[call])
            return given() if callable(given) else given

        return answer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeAdmin:
    made = FakeAdmin()
    monkeypatch.setattr(Connection, "admin", lambda _self: made)
    monkeypatch.setattr(admin, "_RETRY_S", 0.0)
    return made


@pytest.fixture
def cluster(fake: FakeAdmin) -> Cluster:
    return Cluster(Connection.build("x:1", ""))


def topic(name: str) -> Any:
    partitions = [
        SimpleNamespace(id=1, leader=None, replicas=[node(1)], isr=[]),
        SimpleNamespace(id=0, leader=node(1), replicas=[node(1), node(2)], isr=[node(1)]),
    ]
    return SimpleNamespace(name=name, topic_id="a+b/c", is_internal=False, partitions=partitions)


def test_topics(fake: FakeAdmin, cluster: Cluster) -> None:
    fake.give("list_topics", SimpleNamespace(topics={"b": None, "a": None}, cluster_id="c"))
    fake.give("describe_topics", {"a": done(topic("a")), "b": done(topic("b"))})
    found = cluster.topics()
    assert [item.name for item in found] == ["a", "b"]
    assert found[0].id == "a-b_c"
    assert found[0].partitions == (Partition(0, 1, (1, 2), (1,)), Partition(1, -1, (1,), ()))
    assert found[0].replication_factor == 2


def test_no_topics_at_all(fake: FakeAdmin, cluster: Cluster) -> None:
    fake.give("list_topics", SimpleNamespace(topics={}, cluster_id="c"), SimpleNamespace(topics={}, cluster_id="c"))
    assert cluster.topics() == []
    assert cluster.id() == "c"


def test_a_missing_topic_is_not_found(fake: FakeAdmin, cluster: Cluster) -> None:
    fake.give("describe_topics", {"a": done(KafkaError.UNKNOWN_TOPIC_OR_PART)}, {"a": done(29)})
    with pytest.raises(NotFound, match="topic a is not there"):
        cluster.topics(["a"])
    with pytest.raises(KafkaException):
        cluster.topics(["a"])


def test_orders_are_repeated_while_a_coordinator_loads(fake: FakeAdmin, cluster: Cluster) -> None:
    fake.give("list_consumer_groups", done(14), done(15), done(SimpleNamespace(errors=[], valid=[])))
    assert cluster.groups() == []
    assert len(fake.asked) == 3


def test_orders_are_given_up_in_time(fake: FakeAdmin) -> None:
    fake.give("list_consumer_groups", done(14))
    with pytest.raises(KafkaException):
        Cluster(Connection.build("x:1", "", "", {}, -1.0)).groups()


def test_create_and_delete(fake: FakeAdmin, cluster: Cluster) -> None:
    fake.give("create_topics", {"a": done(None)})
    fake.give("delete_topics", {"a": done(None)})
    cluster.create_topic("a", 3, -1, {"retention.ms": "5"})
    cluster.delete_topic("a")
    (_, (new,)), (_, (names,)) = fake.asked
    assert (new[0].topic, new[0].num_partitions, new[0].config, names) == ("a", 3, {"retention.ms": "5"}, ["a"])


def test_configs(fake: FakeAdmin, cluster: Cluster) -> None:
    def entry(value: str, source: ConfigSource) -> Any:
        return SimpleNamespace(value=value, source=source.value)

    entries = {"b": entry("2", ConfigSource.DEFAULT_CONFIG), "a": entry("1", ConfigSource.DYNAMIC_TOPIC_CONFIG)}
    resource = admin.ConfigResource(admin.ResourceType.TOPIC, "t")
    fake.give("describe_configs", {resource: done(entries)})
    found = cluster.topic_configs("t")
    assert found == [Config("a", "1", "DYNAMIC_TOPIC_CONFIG"), Config("b", "2", "DEFAULT_CONFIG")]
    assert [config.own for config in found] == [True, False]


def test_offsets_leave_out_what_has_no_leader(fake: FakeAdmin, cluster: Cluster) -> None:
    at = SimpleNamespace(offset=7)
    fake.give(
        "list_offsets",
        {TopicPartition("a", 0): done(at), TopicPartition("a", 1): done(5)},
        {TopicPartition("a", 0): done(29)},
    )
    assert cluster.offsets([("a", 0), ("a", 1)], latest=True) == {("a", 0): 7}
    assert cluster.offsets([], latest=True) == {}
    with pytest.raises(KafkaException):
        cluster.offsets([("a", 0)], latest=False)


def test_groups(fake: FakeAdmin, cluster: Cluster) -> None:
    def group(name: str) -> Any:
        return SimpleNamespace(
            group_id=name, state=ConsumerGroupState.PREPARING_REBALANCING, type=ConsumerGroupType.CLASSIC
        )

    fake.give(
        "list_consumer_groups",
        done(SimpleNamespace(errors=[], valid=[group("b"), group("a")])),
        done(SimpleNamespace(errors=[KafkaException(KafkaError(7))], valid=[])),
    )
    assert cluster.groups() == [
        GroupListing("a", "preparing-rebalancing", "classic"),
        GroupListing("b", "preparing-rebalancing", "classic"),
    ]
    with pytest.raises(KafkaException):
        cluster.groups()


def group_answer(state: ConsumerGroupState) -> Any:
    assignment = SimpleNamespace(topic_partitions=[TopicPartition("t", 1), TopicPartition("t", 0)])
    member = SimpleNamespace(member_id="m", client_id="c", host="/h", group_instance_id="i", assignment=assignment)
    return SimpleNamespace(
        group_id="g",
        state=state,
        type=ConsumerGroupType.CLASSIC,
        partition_assignor="range",
        coordinator=node(1),
        members=[member],
    )


def test_a_group(fake: FakeAdmin, cluster: Cluster) -> None:
    fake.give("describe_consumer_groups", {"g": done(group_answer(ConsumerGroupState.STABLE))})
    found = cluster.group("g")
    assert (found.state, found.assignor, found.coordinator) == ("stable", "range", 1)
    assert found.members == (Member("m", "c", "/h", "i", (("t", 0), ("t", 1))),)


def test_a_group_that_is_not_there(fake: FakeAdmin, cluster: Cluster) -> None:
    dead = {"g": done(group_answer(ConsumerGroupState.DEAD))}
    fake.give("describe_consumer_groups", dead, {"g": done(KafkaError.GROUP_ID_NOT_FOUND)}, {"g": done(30)})
    for _ in range(2):
        with pytest.raises(NotFound, match="group g is not there"):
            cluster.group("g")
    with pytest.raises(KafkaException):
        cluster.group("g")


def test_committed(fake: FakeAdmin, cluster: Cluster) -> None:
    offsets = [TopicPartition("t", 0, 5), TopicPartition("t", 1, -1001)]
    fake.give("list_consumer_group_offsets", {"g": done(SimpleNamespace(topic_partitions=offsets))})
    assert cluster.committed("g") == {("t", 0): 5}
