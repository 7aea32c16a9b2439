"""Offsets by time: the first record at or after a moment, by every client that can ask; and the special times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiokafka
import confluent_kafka
import kafka
import pytest
from confluent_kafka.admin import OffsetSpec

from tests.support import peer, tools
from tests.support.admin import admin_client
from tests.support.clients import run
from tests.support.process import BrokerProcess

START_MS = 1_700_000_000_000
STEP_MS = 1_000
COUNT = 500


@pytest.fixture
def timed_topic(broker: BrokerProcess, new_topic) -> str:
    """Record n has the timestamp START_MS + n * STEP_MS; several batches."""
    topic: str = new_topic()
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "batch.num.messages": 50})
    for number in range(COUNT):
        producer.produce(topic, b"%d" % number, partition=0, timestamp=START_MS + number * STEP_MS)
    assert producer.flush(30) == 0
    return topic


def by_confluent(bootstrap: str, topic: str, moment: int) -> int | None:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "times"})
    try:
        (found,) = consumer.offsets_for_times([confluent_kafka.TopicPartition(topic, 0, moment)], 30)
    finally:
        consumer.close()
    # librdkafka says OFFSET_END where there is none.
    return found.offset if found.offset >= 0 else None


def by_aiokafka(bootstrap: str, topic: str, moment: int) -> int | None:
    async def ask() -> int | None:
        consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=bootstrap)
        await consumer.start()
        try:
            part = aiokafka.TopicPartition(topic, 0)
            found = (await consumer.offsets_for_times({part: moment}))[part]
        finally:
            await consumer.stop()
        return None if found is None else found.offset

    return asyncio.run(ask())


def by_kafka_python(bootstrap: str, topic: str, moment: int) -> int | None:
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        part = kafka.TopicPartition(topic, 0)
        found = consumer.offsets_for_times({part: moment})[part]
    finally:
        consumer.close()
    return None if found is None else found.offset


def by_kcat(bootstrap: str, topic: str, moment: int) -> int | None:
    tools.need("kcat")
    answer = run(["kcat", "-Q", "-b", bootstrap, "-t", f"{topic}:0:{moment}"]).decode()
    offset = int(answer.rpartition(" ")[2])
    return offset if offset >= 0 else None


def by_java(bootstrap: str, topic: str, moment: int) -> int | None:
    tools.need_peer()
    answer = peer.run_tool(
        "org.apache.kafka.tools.GetOffsetShell",
        *("--bootstrap-server", bootstrap, "--topic", topic, "--time", str(moment)),
    ).strip()
    return int(answer.rpartition(":")[2]) if answer.rpartition(":")[2] else None


CLIENTS: list[Callable[[str, str, int], int | None]] = [by_confluent, by_aiokafka, by_kafka_python, by_kcat, by_java]


@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
def test_the_first_record_at_or_after_a_moment(
    ask: Callable[[str, str, int], int | None], broker: BrokerProcess, timed_topic: str
) -> None:
    for moment, expected in (
        (START_MS - 1, 0),
        (START_MS, 0),
        (START_MS + 1, 1),
        (START_MS + 250 * STEP_MS, 250),
        (START_MS + (COUNT - 1) * STEP_MS, COUNT - 1),
        (START_MS + COUNT * STEP_MS, None),
    ):
        assert ask(broker.bootstrap, timed_topic, moment) == expected, moment - START_MS


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("earliest", 0), ("latest", COUNT), ("max_timestamp", COUNT - 1)],
)
def test_the_special_times(spec: str, expected: int, broker: BrokerProcess, timed_topic: str) -> None:
    admin = admin_client(broker.bootstrap)
    part = confluent_kafka.TopicPartition(timed_topic, 0)
    assert admin.list_offsets({part: getattr(OffsetSpec, spec)()})[part].result(30).offset == expected
