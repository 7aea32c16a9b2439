"""A stand-in for `moldau.client.admin.Cluster`: a few topics and groups in memory, orders written down. No network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException

from moldau.client.admin import Config, Group, GroupListing, Key, Member, Partition, Topic
from moldau.client.errors import NotFound


def a_topic(name: str, partitions: int = 2, *, internal: bool = False) -> Topic:
    made = tuple(Partition(number, 1, (1, 2), (1,)) for number in range(partitions))
    return Topic(name, f"id-of-{name}", internal, made)


@dataclass
class FakeCluster:
    """Call it where a Cluster is made: it answers itself."""

    held: dict[str, Topic] = field(default_factory=dict)
    ends: dict[Key, int] = field(default_factory=dict)
    orders: list[tuple[object, ...]] = field(default_factory=list)

    def __call__(self, _connection: object) -> FakeCluster:
        return self

    def id(self) -> str:
        return "cluster"

    def topics(self, names: Sequence[str] | None = None) -> list[Topic]:
        wanted = sorted(self.held) if names is None else names
        for name in wanted:
            if name not in self.held:
                raise NotFound(f"topic {name} is not there")
        return [self.held[name] for name in wanted]

    def create_topic(
        self, name: str, partitions: int, replicas: int, configs: Mapping[str, str], *, validate_only: bool = False
    ) -> None:
        if name in self.held:
            raise KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists."))
        self.orders.append(("create", name, partitions, replicas, dict(configs), validate_only))
        if not validate_only:
            self.held[name] = a_topic(name, max(1, partitions))

    def delete_topic(self, name: str) -> None:
        self.orders.append(("delete", name))
        del self.held[name]

    def topic_configs(self, name: str) -> list[Config]:
        return [
            Config("retention.ms", "1000", "DYNAMIC_TOPIC_CONFIG"),
            Config("segment.bytes", "1073741824", "DEFAULT_CONFIG"),
        ]

    def offsets(self, partitions: Iterable[Key], *, latest: bool) -> dict[Key, int]:
        return {key: self.ends.get(key, 0) if latest else 0 for key in partitions}

    def groups(self) -> list[GroupListing]:
        return [GroupListing("billing", "stable", "classic"), GroupListing("old", "empty", "classic")]

    def group(self, name: str) -> Group:
        if name != "billing":
            raise NotFound(f"group {name} is not there")
        member = Member("m-1", "client", "/127.0.0.1", None, (("a", 0), ("a", 1)))
        return Group("billing", "stable", "classic", "range", 1, (member,))

    def committed(self, group: str) -> dict[Key, int]:
        return {("a", 0): 7, ("b", 0): 3}
