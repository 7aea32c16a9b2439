"""Group members of three client libraries, each on a thread of its own, that tell what they own and what they saw."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import aiokafka
import confluent_kafka
import kafka

SESSION_TIMEOUT_MS = 10_000
HEARTBEAT_MS = 300


class Member(ABC):
    """One consumer in a group: `start()` joins, `stop()` closes it as a program would. It commits as it goes."""

    name: str

    def __init__(self, bootstrap: str, group: str, topic: str, instance: str | None = None) -> None:
        self.bootstrap = bootstrap
        self.group = group
        self.topic = topic
        self.instance = instance
        self.owned: frozenset[int] = frozenset()
        # How often the member was given partitions: a member that keeps them through a restart of another sees one.
        self.assignments = 0
        self.seen: list[tuple[int, int, bytes]] = []
        self.failure: BaseException | None = None
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{self.name}-member", daemon=True)

    def start(self) -> Member:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Leave (a static member only goes away). Raises what went wrong inside."""
        self._leaving.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), f"{self.name} did not close"
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            self.consume()
        except BaseException as error:
            self.failure = error
        finally:
            self.owned = frozenset()

    def _given(self, partitions: Iterable[int]) -> None:
        self.owned = frozenset(partitions)
        self.assignments += 1

    @abstractmethod
    def consume(self) -> None:
        """Join, poll until told to leave, close."""


class ConfluentMember(Member):
    """confluent-kafka with its default assignor."""

    name = "confluent-kafka"
    assignor = "range"

    def consume(self) -> None:
        settings: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "group.id": self.group,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "partition.assignment.strategy": self.assignor,
            "enable.auto.commit": False,
        }
        if self.instance is not None:
            settings["group.instance.id"] = self.instance
        consumer = confluent_kafka.Consumer(settings)
        consumer.subscribe([self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        try:
            while not self._leaving.is_set():
                message = consumer.poll(0.1)
                if message is None:
                    continue
                if message.error() is not None:
                    continue
                self.seen.append((message.partition() or 0, message.offset() or 0, message.value() or b""))
                consumer.commit(message=message, asynchronous=True)
        finally:
            consumer.close()

    def _on_assign(self, _: object, partitions: list[confluent_kafka.TopicPartition]) -> None:
        self._given(part.partition for part in partitions)

    def _on_revoke(self, _: object, partitions: list[confluent_kafka.TopicPartition]) -> None:
        self.owned -= {part.partition for part in partitions}


class CooperativeMember(ConfluentMember):
    """confluent-kafka that keeps its partitions while it rebalances."""

    name = "confluent-kafka-cooperative"
    assignor = "cooperative-sticky"

    def _on_assign(self, _: object, partitions: list[confluent_kafka.TopicPartition]) -> None:
        self._given({*self.owned, *(part.partition for part in partitions)})


class AiokafkaMember(Member):
    """aiokafka on a loop of its own."""

    name = "aiokafka"

    def consume(self) -> None:
        asyncio.run(self._consume())

    async def _consume(self) -> None:
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            group_instance_id=self.instance,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            enable_auto_commit=False,
        )
        consumer.subscribe([self.topic], listener=_AiokafkaListener(self))
        await consumer.start()
        try:
            while not self._leaving.is_set():
                batches = await consumer.getmany(timeout_ms=100)
                for part, messages in batches.items():
                    self.seen += [(part.partition, message.offset, message.value or b"") for message in messages]
                if batches:
                    await self._commit(consumer)
        finally:
            await consumer.stop()

    async def _commit(self, consumer: Any) -> None:
        try:
            await consumer.commit()
        except aiokafka.errors.CommitFailedError:
            # The partitions went to another member between the poll and the commit: it will see the records again.
            return


class _AiokafkaListener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, member: Member) -> None:
        self._member = member

    async def on_partitions_assigned(self, assigned: set[Any]) -> None:
        self._member._given(part.partition for part in assigned)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        self._member.owned = frozenset()


class KafkaPythonMember(Member):
    """kafka-python 3."""

    name = "kafka-python"

    def consume(self) -> None:
        settings: dict[str, Any] = {} if self.instance is None else {"group_instance_id": self.instance}
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            enable_auto_commit=False,
            **settings,
        )
        consumer.subscribe([self.topic], listener=_KafkaPythonListener(self))
        try:
            while not self._leaving.is_set():
                batches = consumer.poll(timeout_ms=100)
                for part, messages in batches.items():
                    self.seen += [(part.partition, message.offset, message.value or b"") for message in messages]
                if batches:
                    self._commit(consumer)
        finally:
            consumer.close()

    def _commit(self, consumer: Any) -> None:
        try:
            consumer.commit()
        except kafka.errors.CommitFailedError:
            return


class _KafkaPythonListener(kafka.ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, member: Member) -> None:
        self._member = member

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._member._given(part.partition for part in assigned)

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._member.owned = frozenset()


MEMBERS: tuple[type[Member], ...] = (ConfluentMember, CooperativeMember, AiokafkaMember, KafkaPythonMember)


def wait_until(what: str, condition: Callable[[], bool], patience_s: float = 30.0) -> None:
    """Block until `condition` holds. Raises AssertionError naming `what` when it does not in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not in {patience_s} s: {what}"
        time.sleep(0.02)


def shared_out(members: Iterable[Member], partitions: int) -> bool:
    """Whether every partition has exactly one owner, and every member some."""
    owned = [member.owned for member in members]
    return all(owned) and sorted(part for parts in owned for part in parts) == list(range(partitions))
