"""Idempotent producers keep their promise across a restart of the broker: each record once, in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import aiokafka
import confluent_kafka
import pytest

from tests.support.admin import make_topic
from tests.support.brokers import chosen
from tests.support.clients import Confluent
from tests.support.process import BrokerProcess

COUNT = 3_000
VALUES = [b"%d" % number for number in range(COUNT)]


def through_confluent(bootstrap: str, topic: str, halfway: threading.Event) -> None:
    failures: list[object] = []
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 1,
            "batch.num.messages": 20,
            "delivery.timeout.ms": 90_000,
            "log_level": 0,
        }
    )

    def on_delivery(error: object, _: object) -> None:
        if error is not None:
            failures.append(error)

    for number, value in enumerate(VALUES):
        producer.produce(topic, value, partition=0, on_delivery=on_delivery)
        producer.poll(0.001)
        if number == COUNT // 3:
            halfway.set()
    assert (producer.flush(90), failures) == (0, [])


def through_aiokafka(bootstrap: str, topic: str, halfway: threading.Event) -> None:
    asyncio.run(_aiokafka(bootstrap, topic, halfway))


async def _aiokafka(bootstrap: str, topic: str, halfway: threading.Event) -> None:
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=2_000, request_timeout_ms=60_000
    )
    await producer.start()
    try:
        sent = []
        for number, value in enumerate(VALUES):
            sent.append(await producer.send(topic, value, partition=0))
            if number % 10 == 0:
                await asyncio.sleep(0.001)
            if number == COUNT // 3:
                halfway.set()
        await asyncio.wait_for(asyncio.gather(*sent), 90)
    finally:
        await producer.stop()


@pytest.mark.parametrize("end", [BrokerProcess.stop, BrokerProcess.kill], ids=["stop", "kill -9"])
@pytest.mark.parametrize("produce", [through_confluent, through_aiokafka], ids=["confluent-kafka", "aiokafka"])
def test_each_record_once_and_in_order_across_a_restart(
    produce: Callable[[str, str, threading.Event], None], end: Callable[[BrokerProcess], object], tmp_path: Path
) -> None:
    with chosen(tmp_path) as broker:
        make_topic(broker.bootstrap, "orders")
        halfway, failures = threading.Event(), []

        def work() -> None:
            try:
                produce(broker.bootstrap, "orders", halfway)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert halfway.wait(60)
        end(broker)
        broker.start()
        thread.join(100)
        assert (thread.is_alive(), failures) == (False, [])
        assert Confluent(broker.bootstrap).consume("orders", COUNT + 1 if has_more(broker) else COUNT) == VALUES


def has_more(broker: BrokerProcess) -> bool:
    """Whether more records are stored than were sent."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "count"})
    _, end = consumer.get_watermark_offsets(confluent_kafka.TopicPartition("orders", 0), 30)
    consumer.close()
    return end != COUNT
