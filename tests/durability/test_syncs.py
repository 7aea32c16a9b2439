"""Slow and failing syncs: nothing is acknowledged, and nothing is shown to a consumer, before it is on the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moldau.core.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from moldau.core.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from moldau.core.protocol.messages.produce import ProduceResponse
from tests.conftest import Result
from tests.support import batches
from tests.support.admin import make_topic
from tests.support.faults import FAULTY, FaultyBroker, TracedBroker
from tests.support.history import Send, problems
from tests.support.load import IdempotentProducer, RawProducer, produce_request, read_all
from tests.support.wire import Closed, Wire

pytestmark = pytest.mark.slow

DELAY_MS = 200
DELAY_S = DELAY_MS / 1000
TOPIC = "slow"

Faulty = FaultyBroker | TracedBroker


@pytest.fixture(params=FAULTY, ids=["strace", "files"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Faulty]:
    made: Faulty = request.param(tmp_path)
    try:
        made.start()
        make_topic(made.bootstrap, TOPIC, 2)
        yield made
    finally:
        made.kill()


def connect(broker: Faulty) -> Wire:
    return Wire(broker.host, broker.port)


def produce(connection: Wire, value: bytes, **more: Any) -> tuple[int, int]:
    """The error code and the base offset of one acks=all batch."""
    answer = connection.call(produce_request(TOPIC, 0, [value], **more), ProduceResponse, 9)
    part = answer.responses[0].partition_responses[0]
    return part.error_code, part.base_offset


class Watcher:
    """A consumer that long-polls and notes when it first sees each value."""

    def __init__(self, broker: Faulty, offset: int) -> None:
        self.seen: dict[bytes, float] = {}
        self._connection = connect(broker)
        self._offset = offset
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            part = FetchPartition(partition=0, fetch_offset=self._offset, partition_max_bytes=1 << 20)
            topics = [FetchTopic(topic=TOPIC, partitions=[part])]
            request = FetchRequest(max_wait_ms=100, min_bytes=1, max_bytes=1 << 20, topics=topics)
            answer = self._connection.call(request, FetchResponse, 11)
            now = time.monotonic()
            for record in batches.read(bytes(answer.responses[0].partitions[0].records or b"")):
                self.seen.setdefault(record.value or b"", now)
                self._offset = record.offset + 1

    def wait_for(self, value: bytes) -> float:
        deadline = time.monotonic() + 30
        while value not in self.seen:
            assert time.monotonic() < deadline, f"{value!r} was never seen"
            time.sleep(0.005)
        return self.seen[value]

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(10)
        self._connection.close()


def test_no_acknowledgement_and_no_consumer_comes_sooner_than_the_sync(broker: Faulty, result: Result) -> None:
    with connect(broker) as connection:
        assert produce(connection, b"before")[0] == 0
        watcher = Watcher(broker, 0)
        watcher.wait_for(b"before")
        broker.delay_syncs(DELAY_MS)
        answered, shown = [], []
        for number in range(5):
            value = b"slow %d" % number
            begun = time.monotonic()
            assert produce(connection, value)[0] == 0
            answered.append(time.monotonic() - begun)
            shown.append(watcher.wait_for(value) - begun)
        begun = time.monotonic()
        assert produce(connection, b"acks=1", acks=1)[0] == 0
        shown.append(watcher.wait_for(b"acks=1") - begun)
        watcher.stop()
    result(soonest_answer_ms=round(min(answered) * 1000), soonest_seen_ms=round(min(shown) * 1000))
    assert min(answered) >= DELAY_S
    assert min(shown) >= DELAY_S


def test_the_retry_of_a_batch_that_is_not_synced_yet_waits_for_its_sync(broker: Faulty) -> None:
    with connect(broker) as first, connect(broker) as second:
        granted = first.call(InitProducerIdRequest(transactional_id=None), InitProducerIdResponse, 4)
        assert granted.error_code == 0
        broker.delay_syncs(DELAY_MS)
        for sequence in range(3):
            producer = batches.Producer(granted.producer_id, granted.producer_epoch, sequence)
            request = produce_request(TOPIC, 0, [b"once %d" % sequence], producer=producer)
            begun = time.monotonic()
            asked = first.send(request, 9)
            time.sleep(DELAY_S / 4)
            retried = second.call(request, ProduceResponse, 9).responses[0].partition_responses[0]
            retry_s = time.monotonic() - begun
            answered = first.receive(asked, ProduceResponse, 9).responses[0].partition_responses[0]
            assert (retried.error_code, answered.error_code) == (0, 0)
            assert retried.base_offset == answered.base_offset
            assert retry_s >= DELAY_S
        broker.heal()
    stored = read_all(broker.bootstrap, TOPIC, 2)[0]
    assert [value for _, value in stored] == [b"once 0", b"once 1", b"once 2"]


def test_when_syncs_fail_nothing_is_acknowledged_and_the_node_stops(broker: Faulty) -> None:
    with connect(broker) as connection:
        assert produce(connection, b"kept") == (0, 0)
        broker.fail_syncs()
        for number in range(20):
            try:
                code, _ = produce(connection, b"refused %d" % number)
            except (Closed, OSError):
                break
            assert code != 0
    # A single directory that is offline: the node stops by itself, and not with success.
    assert broker.wait(30) not in (0, -9)
    assert "Traceback" not in broker.log_tail(200)
    broker.heal()
    broker.start()
    stored = read_all(broker.bootstrap, TOPIC, 2)[0]
    assert stored[0] == (0, b"kept")
    with connect(broker) as connection:
        code, offset = produce(connection, b"after")
        assert (code, offset) == (0, len(stored))


def test_no_acknowledged_record_is_lost_when_syncs_fail_under_load(broker: Faulty, result: Result) -> None:
    idempotent = IdempotentProducer(broker, TOPIC, 2, "idempotent")
    raw = [RawProducer(broker, TOPIC, 0, f"raw-{number}") for number in range(3)]
    workers = [idempotent, *raw]
    for worker in workers:
        worker.start()
    for _ in range(2):
        time.sleep(0.7)
        broker.fail_syncs()
        assert broker.wait(30) not in (0, -9)
        broker.heal()
        broker.start()
    time.sleep(0.5)
    for worker in workers:
        worker.stop()
    sends: list[Send] = [send for producer in workers for send in producer.sends()]
    broken = problems(sends, read_all(broker.bootstrap, TOPIC, 2))
    result(acknowledged=sum(send.offset is not None for send in sends))
    assert broken[:20] == []
    assert idempotent.refused == []
