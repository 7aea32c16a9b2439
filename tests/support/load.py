"""Producers and a group that keep going while their broker is killed and comes back, and remember all they did.

Each runs on a thread of its own. What they did is handed over as values of history.py once they have stopped.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any

import confluent_kafka

from moldau.core.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from tests.support import batches
from tests.support.history import Commit, Send
from tests.support.process import BrokerProcess
from tests.support.wire import Closed, Wire

PATIENCE_S = 90.0


class Worker(ABC):
    """A thread that works until told to stop; what went wrong inside is raised by `stop`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), f"{self.name} did not stop"
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.failure = error

    @abstractmethod
    def work(self) -> None:
        """Until `_stopping` is set."""


class IdempotentProducer(Worker):
    """confluent-kafka with idempotence: it retries by itself, for as long as the broker is away."""

    def __init__(self, broker: BrokerProcess, topic: str, partitions: int, name: str, pause_s: float = 0.0005) -> None:
        super().__init__(name)
        self._broker, self._topic, self._partitions, self._pause_s = broker, topic, partitions, pause_s
        # In the order of sending; the place of the acknowledgement is filled in by delivery reports.
        self._sent: list[tuple[int, bytes]] = []
        self._offsets: dict[int, int] = {}
        self.refused: list[object] = []

    def work(self) -> None:
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self._broker.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 2,
                "batch.num.messages": 50,
                "delivery.timeout.ms": int(PATIENCE_S * 1000),
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )
        while not self._stopping.is_set():
            number = len(self._sent)
            partition, value = number % self._partitions, b"%s %d" % (self.name.encode(), number)
            self._sent.append((partition, value))
            producer.produce(self._topic, value, partition=partition, on_delivery=self._report(number))
            producer.poll(0)
            time.sleep(self._pause_s)
        left = producer.flush(PATIENCE_S)
        assert left == 0, f"{left} records of {self.name} were neither acknowledged nor refused"

    def _report(self, number: int) -> Any:
        def report(error: object, message: confluent_kafka.Message) -> None:
            if error is None:
                self._offsets[number] = message.offset() or 0
            else:
                self.refused.append(error)

        return report

    def sends(self) -> list[Send]:
        return [
            Send(self.name, partition, value, self._offsets.get(number), True)
            for number, (partition, value) in enumerate(self._sent)
        ]


class RawProducer(Worker):
    """Raw requests without idempotence, one on its way at a time; what got no answer is never sent again."""

    def __init__(self, broker: BrokerProcess, topic: str, partition: int, name: str) -> None:
        super().__init__(name)
        self._broker, self._topic, self._partition = broker, topic, partition
        self._sends: list[Send] = []

    def work(self) -> None:
        connection: Wire | None = None
        while not self._stopping.is_set():
            if connection is None:
                connection = self._connect()
                continue
            value = b"%s %d" % (self.name.encode(), len(self._sends))
            offset = self._send(connection, value)
            self._sends.append(Send(self.name, self._partition, value, offset, False))
            if offset is None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _connect(self) -> Wire | None:
        try:
            return Wire(self._broker.host, self._broker.port, timeout_s=10.0)
        except OSError:
            time.sleep(0.01)
            return None

    def _send(self, connection: Wire, value: bytes) -> int | None:
        """The offset of the acknowledgement, or None."""
        try:
            answer = connection.call(produce_request(self._topic, self._partition, [value]), ProduceResponse, 9)
        except (Closed, OSError):
            return None
        part = answer.responses[0].partition_responses[0]
        return part.base_offset if part.error_code == 0 else None

    def sends(self) -> list[Send]:
        return self._sends


class CommittingConsumer(Worker):
    """A member of a group that commits what it has read before it reads on, and remembers both."""

    def __init__(self, broker: BrokerProcess, topic: str, group: str, name: str) -> None:
        super().__init__(name)
        self._broker, self._topic, self._group = broker, topic, group
        self.reads: list[tuple[int, int, bytes]] = []
        self.acknowledged: dict[int, int] = {}
        self.tried: dict[int, int] = {}
        # Records read again although this very member had heard that they were committed.
        self.rewinds: list[tuple[int, int]] = []

    def work(self) -> None:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._broker.bootstrap,
                "group.id": self._group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 300,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )
        consumer.subscribe([self._topic])
        while not self._stopping.is_set():
            messages = [message for message in consumer.consume(200, 0.1) if message.error() is None]
            for message in messages:
                self._note(message.partition() or 0, message.offset() or 0, message.value() or b"")
            if messages:
                self._commit(consumer, messages)
        consumer.close()

    def _note(self, partition: int, offset: int, value: bytes) -> None:
        self.reads.append((partition, offset, value))
        if offset < self.acknowledged.get(partition, 0):
            self.rewinds.append((partition, offset))

    def _commit(self, consumer: confluent_kafka.Consumer, messages: list[confluent_kafka.Message]) -> None:
        ends: dict[int, int] = {}
        for message in messages:
            ends[message.partition() or 0] = (message.offset() or 0) + 1
        for partition, end in ends.items():
            self.tried[partition] = max(end, self.tried.get(partition, -1))
        parts = [confluent_kafka.TopicPartition(self._topic, partition, end) for partition, end in ends.items()]
        try:
            done = consumer.commit(offsets=parts, asynchronous=False)
        except confluent_kafka.KafkaException:
            return  # nobody knows whether it arrived
        for part in done:
            if part.error is None:
                self.acknowledged[part.partition] = max(part.offset, self.acknowledged.get(part.partition, 0))


def produce_request(topic: str, partition: int, values: list[bytes], **more: Any) -> ProduceRequest:
    """One batch for one partition, acks=all unless said otherwise."""
    producer = more.pop("producer", batches.Producer())
    part = PartitionProduceData(index=partition, records=batches.build(values, producer))
    topic_data = [TopicProduceData(name=topic, partition_data=[part])]
    return ProduceRequest(**{"acks": -1, "timeout_ms": 30_000, "topic_data": topic_data, **more})


def commits_of(members: list[CommittingConsumer]) -> dict[int, Commit]:
    """The group's commits, over all of its members."""
    partitions = {partition for member in members for partition in member.tried}
    return {
        partition: Commit(
            max(member.acknowledged.get(partition, -1) for member in members),
            max(member.tried.get(partition, -1) for member in members),
        )
        for partition in partitions
    }


def read_all(bootstrap: str, topic: str, partitions: int) -> dict[int, list[tuple[int, bytes]]]:
    """Everything in the topic, from its start to the end it has now."""
    settings: dict[str, Any] = {"group.id": "reader", "enable.auto.commit": False, "auto.offset.reset": "error"}
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, **settings})
    parts = [confluent_kafka.TopicPartition(topic, partition, 0) for partition in range(partitions)]
    ends = {part.partition: consumer.get_watermark_offsets(part, 30)[1] for part in parts}
    found: dict[int, list[tuple[int, bytes]]] = {partition: [] for partition in ends}
    consumer.assign(parts)
    deadline = time.monotonic() + PATIENCE_S
    while any(len(found[partition]) < end for partition, end in ends.items()):
        assert time.monotonic() < deadline, f"read { ({k: len(v) for k, v in found.items()}) } of {ends}"
        for message in consumer.consume(5_000, 0.5):
            assert message.error() is None, message.error()
            found[message.partition() or 0].append((message.offset() or 0, message.value() or b""))
    consumer.close()
    return found


def committed_offsets(bootstrap: str, topic: str, group: str, partitions: int) -> dict[int, int]:
    """What the group has committed; -1 where nothing."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    parts = [confluent_kafka.TopicPartition(topic, partition) for partition in range(partitions)]
    committed = consumer.committed(parts, 30)
    consumer.close()
    return {part.partition: part.offset if part.offset >= 0 else -1 for part in committed}
