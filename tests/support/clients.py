"""Unmodified clients behind two verbs: produce these values to partition 0, consume so many from its start.

One class per client library or tool. Nothing here knows which broker it talks to.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence

import aiokafka
import confluent_kafka
import kafka

from tests.support import peer, tools

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PATIENCE_S = 30.0


class Client(ABC):
    """A library or a tool that produces and consumes."""

    name: str

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    @classmethod
    def need(cls) -> None:
        """Skip the test where the client cannot run. Libraries are always there: they are in requirements/dev.txt."""
        return

    @abstractmethod
    def produce(self, topic: str, values: Sequence[bytes], codec: str) -> None:
        """Have `values` acknowledged, in order, in partition 0."""

    @abstractmethod
    def consume(self, topic: str, count: int) -> list[bytes]:
        """The first `count` values of partition 0."""


class Confluent(Client):
    """confluent-kafka, on librdkafka."""

    name = "confluent-kafka"

    def produce(self, topic: str, values: Sequence[bytes], codec: str) -> None:
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": codec,
                "linger.ms": 20,
                "enable.idempotence": True,
            }
        )
        failures: list[object] = []

        def on_delivery(error: object, _: object) -> None:
            if error is not None:
                failures.append(error)

        for value in values:
            producer.produce(topic, value, partition=0, on_delivery=on_delivery)
            producer.poll(0)
        left = producer.flush(PATIENCE_S)
        assert (left, failures) == (0, [])

    def consume(self, topic: str, count: int) -> list[bytes]:
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": fresh_group(), "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([topic])
        got: list[bytes] = []
        deadline = time.monotonic() + PATIENCE_S
        while len(got) < count and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None:
                assert message.error() is None, message.error()
                got.append(message.value() or b"")
        consumer.close()
        return got


class Aiokafka(Client):
    """aiokafka, all Python."""

    name = "aiokafka"

    def produce(self, topic: str, values: Sequence[bytes], codec: str) -> None:
        asyncio.run(self._produce(topic, values, codec))

    async def _produce(self, topic: str, values: Sequence[bytes], codec: str) -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            linger_ms=20,
            enable_idempotence=True,
        )
        await producer.start()
        try:
            sent = [await producer.send(topic, value, partition=0) for value in values]
            await asyncio.wait_for(asyncio.gather(*sent), PATIENCE_S)
        finally:
            await producer.stop()

    def consume(self, topic: str, count: int) -> list[bytes]:
        return asyncio.run(self._consume(topic, count))

    async def _consume(self, topic: str, count: int) -> list[bytes]:
        consumer = aiokafka.AIOKafkaConsumer(
            topic, bootstrap_servers=self.bootstrap, group_id=fresh_group(), auto_offset_reset="earliest"
        )
        await consumer.start()
        got: list[bytes] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(got) < count:
                    got.append((await consumer.getone()).value or b"")
        finally:
            await consumer.stop()
        return got


class KafkaPython(Client):
    """kafka-python 3, all Python."""

    name = "kafka-python"

    def produce(self, topic: str, values: Sequence[bytes], codec: str) -> None:
        producer = kafka.KafkaProducer(
            bootstrap_servers=self.bootstrap, compression_type=None if codec == "none" else codec, linger_ms=20
        )
        sent = [producer.send(topic, value, partition=0) for value in values]
        for future in sent:
            future.get(timeout=PATIENCE_S)
        producer.close()

    def consume(self, topic: str, count: int) -> list[bytes]:
        consumer = kafka.KafkaConsumer(
            topic,
            bootstrap_servers=self.bootstrap,
            group_id=fresh_group(),
            auto_offset_reset="earliest",
            consumer_timeout_ms=int(PATIENCE_S * 1000),
        )
        got: list[bytes] = []
        for message in consumer:
            got.append(message.value or b"")
            if len(got) == count:
                break
        consumer.close()
        return got


class Kcat(Client):
    """kcat, on the distribution's own (older) librdkafka."""

    name = "kcat"

    @classmethod
    def need(cls) -> None:
        tools.need("kcat")

    def produce(self, topic: str, values: Sequence[bytes], codec: str) -> None:
        lines = b"".join(value + b"\n" for value in values)
        run(["kcat", "-P", "-b", self.bootstrap, "-t", topic, "-p", "0", "-X", f"compression.codec={codec}"], lines)

    def consume(self, topic: str, count: int) -> list[bytes]:
        read = ["kcat", "-C", "-b", self.bootstrap, "-t", topic, "-p", "0", "-o", "beginning", "-q", "-e"]
        return run([*read, "-c", str(count)]).splitlines()


class Java(Client):
    """Kafka's own ProducerPerformance and ConsoleConsumer. Values are what `--payload-monotonic` makes: 0, 1, ..."""

    name = "java"

    @classmethod
    def need(cls) -> None:
        tools.need_peer()

    def produce(self, topic: str, values: Sequence[bytes], codec: str) -> None:
        assert list(values) == monotonic(len(values))
        peer.run_tool(
            "org.apache.kafka.tools.ProducerPerformance",
            *("--bootstrap-server", self.bootstrap, "--topic", topic, "--num-records", str(len(values))),
            *("--throughput", "-1", "--payload-monotonic"),
            *("--command-property", f"compression.type={codec}", "linger.ms=20"),
        )

    def consume(self, topic: str, count: int) -> list[bytes]:
        out = peer.run_tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            *("--bootstrap-server", self.bootstrap, "--topic", topic, "--from-beginning"),
            *("--max-messages", str(count), "--timeout-ms", str(int(PATIENCE_S * 1000))),
        )
        return [line.encode() for line in out.splitlines()]


CLIENTS: tuple[type[Client], ...] = (Confluent, Aiokafka, KafkaPython, Kcat, Java)


def monotonic(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def fresh_group() -> str:
    return f"group-{uuid.uuid4().hex[:12]}"


def run(command: Sequence[str], stdin: bytes = b"") -> bytes:
    """Run a tool to its end; its standard output."""
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            command, input=stdin, stdout=subprocess.PIPE, stderr=errors, timeout=PATIENCE_S * 2, check=False
        )
        errors.seek(0)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {errors.read().decode()}"
    return done.stdout
