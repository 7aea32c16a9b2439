"""Questions and orders to a cluster, answered as plain values. Thin over confluent-kafka's AdminClient.

Every call waits for its answer, `Connection.timeout_s` at most, and asks again while a coordinator is
loading or moving. What the cluster refuses comes out as KafkaException; what is not there as NotFound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import ConfigResource, ConfigSource, NewTopic, OffsetSpec, ResourceType

from moldau.client.config import Connection
from moldau.client.errors import NotFound

T = TypeVar("T")

# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR
_RETRY = frozenset({14, 15, 16})
_RETRY_S = 0.05
_UNKNOWN_TOPIC = frozenset({3, 100})
_GROUP_ID_NOT_FOUND = 69
# LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER
_NO_LEADER = frozenset({5, 6})

_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]

_URL_SAFE = str.maketrans("+/", "-_")

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Partition:
    """`leader` is -1 where there is none."""

    id: int
    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    id: str
    internal: bool
    partitions: tuple[Partition, ...]

    @property
    def replication_factor(self) -> int:
        return max((len(partition.replicas) for partition in self.partitions), default=0)


@dataclass(frozen=True, slots=True)
class Config:
    """One config of a topic. `source` in Kafka's words: DYNAMIC_TOPIC_CONFIG, DEFAULT_CONFIG and so on."""

    name: str
    value: str | None
    source: str

    @property
    def own(self) -> bool:
        """Whether it was set on the topic itself."""
        return self.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.name


@dataclass(frozen=True, slots=True)
class Member:
    id: str
    client_id: str
    host: str
    instance_id: str | None
    assignment: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class GroupListing:
    name: str
    state: str
    kind: str


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    state: str
    kind: str
    assignor: str
    coordinator: int
    members: tuple[Member, ...]


class Cluster:
    """One cluster's admin side."""

    def __init__(self, connection: Connection) -> None:
        self._timeout_s = connection.timeout_s
        self._admin = connection.admin()

    def id(self) -> str:
        """The cluster's id."""
        return str(self._admin.list_topics(timeout=self._timeout_s).cluster_id or "")

    def topics(self, names: Sequence[str] | None = None) -> list[Topic]:
        """The named topics, or all, by name. Raises NotFound for the first that is not there."""
        if names is None:
            names = sorted(self._admin.list_topics(timeout=self._timeout_s).topics)
        if not names:
            return []
        futures = self._admin.describe_topics(TopicCollection(list(names)), request_timeout=self._timeout_s)
        return [_topic(self._topic_result(name, future)) for name, future in futures.items()]

    def create_topic(
        self,
        name: str,
        partitions: int,
        replication_factor: int,
        configs: Mapping[str, str],
        *,
        validate_only: bool = False,
    ) -> None:
        """-1 partitions or replicas: what the broker has as default."""
        new = NewTopic(name, num_partitions=partitions, replication_factor=replication_factor, config=dict(configs))
        self._order(lambda: self._admin.create_topics([new], validate_only=validate_only, **self._limits())[name])

    def delete_topic(self, name: str) -> None:
        self._order(lambda: self._admin.delete_topics([name], **self._limits())[name])

    def topic_configs(self, name: str) -> list[Config]:
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = self._order(
            lambda: self._admin.describe_configs([resource], request_timeout=self._timeout_s)[resource]
        )
        return [Config(key, entry.value, ConfigSource(entry.source).name) for key, entry in sorted(entries.items())]

    def offsets(self, partitions: Iterable[Key], *, latest: bool) -> dict[Key, int]:
        """The first offset of each partition, or the offset after its last record. Leaderless ones are left out."""
        spec: OffsetSpec = _LATEST if latest else _EARLIEST
        wanted = {TopicPartition(topic, partition): spec for topic, partition in partitions}
        if not wanted:
            return {}
        found: dict[Key, int] = {}
        for key, future in self._admin.list_offsets(wanted, request_timeout=self._timeout_s).items():
            try:
                found[key.topic, key.partition] = future.result().offset
            except KafkaException as error:
                if error.args[0].code() not in _NO_LEADER:
                    raise
        return found

    def groups(self) -> list[GroupListing]:
        """Every group of every broker, by name. Raises the first error where a broker did not answer."""
        listing = self._order(lambda: self._admin.list_consumer_groups(request_timeout=self._timeout_s))
        if listing.errors:
            raise listing.errors[0]
        found = [GroupListing(group.group_id, _word(group.state), _word(group.type)) for group in listing.valid]
        return sorted(found, key=lambda group: group.name)

    def group(self, name: str) -> Group:
        """Raises NotFound. Kafka answers for a group it never heard of as for a dead one."""
        try:
            answer = self._order(
                lambda: self._admin.describe_consumer_groups([name], request_timeout=self._timeout_s)[name]
            )
        except KafkaException as error:
            if error.args[0].code() == _GROUP_ID_NOT_FOUND:
                raise NotFound(f"group {name} is not there") from None
            raise
        group = _group(answer)
        if group.state == "dead":
            raise NotFound(f"group {name} is not there")
        return group

    def committed(self, group: str) -> dict[Key, int]:
        """Every offset the group has committed."""
        asked = ConsumerGroupTopicPartitions(group)
        answer = self._order(
            lambda: self._admin.list_consumer_group_offsets([asked], request_timeout=self._timeout_s)[group]
        )
        return {(item.topic, item.partition): item.offset for item in answer.topic_partitions if item.offset >= 0}

    def _limits(self) -> dict[str, float]:
        return {"request_timeout": self._timeout_s, "operation_timeout": self._timeout_s}

    def _topic_result(self, name: str, future: Future[Any]) -> Any:
        try:
            return future.result()
        except KafkaException as error:
            if error.args[0].code() in _UNKNOWN_TOPIC:
                raise NotFound(f"topic {name} is not there") from None
            raise

    def _order(self, ask: Callable[[], Future[T]]) -> T:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return ask().result()
            except KafkaException as error:
                if error.args[0].code() not in _RETRY or time.monotonic() > deadline:
                    raise
            time.sleep(_RETRY_S)


def _topic(answer: Any) -> Topic:
    partitions = tuple(
        Partition(
            id=part.id,
            leader=part.leader.id if part.leader is not None else -1,
            replicas=tuple(node.id for node in part.replicas),
            isr=tuple(node.id for node in part.isr),
        )
        for part in sorted(answer.partitions, key=lambda part: part.id)
    )
    # librdkafka prints ids in plain base64, Kafka in the kind that is safe in URLs.
    topic_id = str(answer.topic_id).translate(_URL_SAFE)
    return Topic(answer.name, topic_id, answer.is_internal, partitions)


def _group(answer: Any) -> Group:
    members = tuple(
        Member(
            id=member.member_id,
            client_id=member.client_id,
            host=member.host,
            instance_id=member.group_instance_id,
            assignment=tuple(sorted((part.topic, part.partition) for part in member.assignment.topic_partitions)),
        )
        for member in answer.members
    )
    return Group(
        name=answer.group_id,
        state=_word(answer.state),
        kind=_word(answer.type),
        assignor=answer.partition_assignor,
        coordinator=answer.coordinator.id if answer.coordinator is not None else -1,
        members=tuple(sorted(members, key=lambda member: member.id)),
    )


def _word(value: Any) -> str:
    """ConsumerGroupState.PREPARING_REBALANCING -> preparing-rebalancing"""
    name: str = value.name
    return name.lower().replace("_", "-")
