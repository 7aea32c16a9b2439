"""Stand-ins for confluent-kafka's clients: one topic in memory, as much of it as the command line uses. No network."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from moldau.client.config import Connection


@dataclass
class FakeMessage:
    """What a confluent-kafka message answers."""

    value_: bytes | None = b"value"
    key_: bytes | None = b"key"
    headers_: list[tuple[str, bytes | None]] | None = None
    topic_: str = "topic"
    partition_: int = 0
    offset_: int = 0
    timestamp_: int = 1_700_000_000_000
    error_: KafkaError | None = None

    def __init__(self, value: bytes | None = b"value", key: bytes | None = b"key", **more: Any) -> None:
        self.value_, self.key_ = value, key
        for name, given in more.items():
            setattr(self, f"{name}_", given)

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.offset_

    def timestamp(self) -> tuple[int, int]:
        return (1, self.timestamp_)

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> Any:
        return self.headers_

    def error(self) -> KafkaError | None:
        return self.error_


@dataclass
class FakeTopic:
    """Partitions as lists of messages; `lows` where a partition does not begin at 0."""

    name: str = "topic"
    partitions: dict[int, list[FakeMessage]] = field(default_factory=dict)
    lows: dict[int, int] = field(default_factory=dict)

    def add(self, partition: int, value: bytes | None, **more: Any) -> None:
        held = self.partitions.setdefault(partition, [])
        offset = self.lows.get(partition, 0) + len(held)
        held.append(FakeMessage(value, topic=self.name, partition=partition, offset=offset, **more))

    def bounds(self, partition: int) -> tuple[int, int]:
        low = self.lows.get(partition, 0)
        return low, low + len(self.partitions[partition])


class FakeConsumer:
    """Reads a FakeTopic. `grow` is called before each poll, for records that come while somebody reads."""

    def __init__(self, topic: FakeTopic, settings: dict[str, Any], grow: Callable[[], None]) -> None:
        self.settings = settings
        self.stored: list[TopicPartition] = []
        self.closed = False
        self._topic = topic
        self._grow = grow
        self._at: dict[int, int] = {}
        self._eof: set[int] = set()

    def list_topics(self, topic: str, timeout: float) -> Any:
        if topic != self._topic.name:
            unknown = SimpleNamespace(error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), partitions={})
            return SimpleNamespace(topics={topic: unknown})
        known = SimpleNamespace(error=None, partitions=dict.fromkeys(self._topic.partitions))
        return SimpleNamespace(topics={topic: known})

    def get_watermark_offsets(self, at: TopicPartition, timeout: float) -> tuple[int, int]:
        return self._topic.bounds(at.partition)

    def offsets_for_times(self, asked: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        answers = []
        for at in asked:
            later = [each.offset_ for each in self._topic.partitions[at.partition] if each.timestamp_ >= at.offset]
            answers.append(TopicPartition(at.topic, at.partition, min(later, default=-1)))
        return answers

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._at = {at.partition: max(at.offset, self._topic.bounds(at.partition)[0]) for at in partitions}

    def subscribe(self, topics: Sequence[str], on_assign: Callable[[Any, Any], None]) -> None:
        # A member that is alone: it gets every partition, from its beginning unless `on_assign` says otherwise.
        partitions = [TopicPartition(self._topic.name, partition) for partition in self._topic.partitions]
        self.assign([TopicPartition(at.topic, at.partition, 0) for at in partitions])
        on_assign(self, partitions)

    def poll(self, timeout: float) -> FakeMessage | None:
        self._grow()
        found = self.consume(1, timeout)
        return found[0] if found else None

    def consume(self, count: int, timeout: float) -> list[FakeMessage]:
        found: list[FakeMessage] = []
        for partition, at in sorted(self._at.items()):
            low, end = self._topic.bounds(partition)
            while at < end and len(found) < count:
                found.append(self._topic.partitions[partition][at - low])
                at += 1
                self._eof.discard(partition)
            self._at[partition] = at
            if at == end and partition not in self._eof and len(found) < count:
                self._eof.add(partition)
                if self.settings["enable.partition.eof"]:
                    error = KafkaError(KafkaError._PARTITION_EOF)
                    found.append(FakeMessage(None, topic=self._topic.name, partition=partition, offset=at, error=error))
        return found

    def store_offsets(self, offsets: list[TopicPartition]) -> None:
        self.stored += offsets

    def close(self) -> None:
        self.closed = True


class FakeProducer:
    """Keeps what was produced and puts it into the topic; its queue takes `room` records between two polls."""

    def __init__(self, settings: dict[str, Any], topic: FakeTopic, writable: bool, room: int) -> None:
        self.settings = settings
        self._topic = topic
        self.produced: list[tuple[str, bytes | None, bytes | None, int, Any]] = []
        self.refuse: KafkaError | None = None
        self._partitions = dict.fromkeys(topic.partitions) if writable else None
        self._room = room
        self._queued = 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        if self._partitions is None:
            unknown = SimpleNamespace(error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), partitions={})
            return SimpleNamespace(topics={topic: unknown})
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=self._partitions)})

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int = -1, headers: Any = None
    ) -> None:
        if self._queued == self._room:
            raise BufferError
        self._queued += 1
        self.produced.append((topic, key, value, partition, headers))
        chosen = partition if partition >= 0 else zlib.crc32(key or b"") % len(self._topic.partitions)
        self._topic.add(chosen, value, key=key, headers=headers)

    def poll(self, timeout: float) -> int:
        self._queued = 0
        if self.refuse is not None:
            self.settings["on_delivery"](self.refuse, None)
        return 0

    def flush(self, timeout: float = -1) -> int:
        self.poll(0)
        return 0


class FakeConnection(Connection):
    """Hands out the fakes above. Make it with `fake_connection`."""

    topic: FakeTopic
    grow: Callable[[], None]
    room: int
    writable: bool
    consumers: list[FakeConsumer]
    producers: list[FakeProducer]

    def consumer(self, extra: Any) -> Any:
        self.consumers.append(FakeConsumer(self.topic, dict(extra), self.grow))
        return self.consumers[-1]

    def producer(self, extra: Any) -> Any:
        self.producers.append(FakeProducer(dict(extra), self.topic, self.writable, self.room))
        return self.producers[-1]


def fake_connection(
    topic: FakeTopic, *, grow: Callable[[], None] = lambda: None, room: int = 1000, writable: bool = True
) -> FakeConnection:
    connection = FakeConnection("fake:1", {"bootstrap.servers": "fake:1"})
    for name, given in {
        "topic": topic,
        "grow": grow,
        "room": room,
        "writable": writable,
        "consumers": [],
        "producers": [],
    }.items():
        object.__setattr__(connection, name, given)
    return connection
