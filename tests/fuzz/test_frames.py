"""Mutated frames against a live broker: it lives, serves others meanwhile, and stays within its memory."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from moldau.core.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from moldau.core.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from moldau.core.protocol.messages.produce import ProduceResponse
from tests.conftest import Result
from tests.support import batches
from tests.support.admin import make_topic
from tests.support.barrage import Barrage
from tests.support.broker import MoldauBroker
from tests.support.load import produce_request
from tests.support.mutation import World, frames
from tests.support.process import BrokerProcess
from tests.support.scale import amount
from tests.support.wire import Wire

pytestmark = pytest.mark.slow

MIB = 1 << 20
BUDGET = 32 * MIB
ALLOWANCE = 64 * MIB
# Small budgets make a leak stand out; a topic by each mutated name would be growth that was asked for.
CONFIGS = {
    "moldau.receive.budget.bytes": str(BUDGET),
    "moldau.send.budget.bytes": str(BUDGET),
    "socket.request.max.bytes": str(16 * MIB),
    "auto.create.topics.enable": "false",
}
HUNG_S = 5.0


class Neighbour:
    """Another client at work the whole time: each record it writes it reads back. Also watches the broker's memory."""

    def __init__(self, broker: BrokerProcess, topic: str) -> None:
        self.rounds = 0
        self.slowest_s = 0.0
        self.peak_bytes = 0
        self.failure: BaseException | None = None
        self._broker, self._topic = broker, topic
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            with Wire(self._broker.host, self._broker.port, timeout_s=HUNG_S) as connection:
                while not self._stopping.is_set():
                    self._round(connection)
        except BaseException as error:
            self.failure = error

    def _round(self, connection: Wire) -> None:
        value = b"neighbour %d" % self.rounds
        begun = time.monotonic()
        made = connection.call(produce_request(self._topic, 0, [value]), ProduceResponse, 9)
        part = made.responses[0].partition_responses[0]
        assert part.error_code == 0
        wanted = FetchPartition(partition=0, fetch_offset=part.base_offset, partition_max_bytes=MIB)
        topics = [FetchTopic(topic=self._topic, partitions=[wanted])]
        request = FetchRequest(max_wait_ms=500, min_bytes=1, max_bytes=MIB, topics=topics)
        answer = connection.call(request, FetchResponse, 11)
        read = list(batches.read(bytes(answer.responses[0].partitions[0].records or b"")))
        assert [record.value for record in read] == [value]
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
        self.peak_bytes = max(self.peak_bytes, self._broker.rss_bytes())
        self.rounds += 1
        time.sleep(0.02)


def topic_id(broker: BrokerProcess, topic: str) -> bytes:
    with Wire(broker.host, broker.port) as connection:
        request = MetadataRequest(topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
        return connection.call(request, MetadataResponse, 12).topics[0].topic_id


@pytest.mark.timeout(3600)
def test_the_broker_survives_mutated_frames(tmp_path: Path, result: Result) -> None:
    count = amount("frames", test=20_000, prove=200_000)
    seed = random.randrange(1 << 32)
    with MoldauBroker(tmp_path, CONFIGS) as broker:
        make_topic(broker.bootstrap, "fuzzed", 2)
        make_topic(broker.bootstrap, "neighbour")
        idle = broker.rss_bytes()
        world = World("fuzzed", topic_id(broker, "fuzzed"))
        neighbour = Neighbour(broker, "neighbour")
        begun = time.monotonic()
        outcomes = Barrage(broker.host, broker.port, frames(world, random.Random(seed))).run(count)
        seconds = time.monotonic() - begun
        neighbour.stop()
        peak = max(neighbour.peak_bytes, broker.peak_rss_bytes())
        result(
            frames=count,
            seconds=round(seconds),
            **outcomes,
            idle_mib=idle // MIB,
            peak_mib=peak // MIB,
            neighbour_rounds=neighbour.rounds,
            neighbour_slowest_ms=round(neighbour.slowest_s * 1000),
        )
        assert broker.running, f"seed {seed}: {broker.log_tail()}"
        assert outcomes["refused"] == 0
        assert outcomes["answered"] > count // 20, "hardly a frame was understood: the mutations are too wild"
        assert peak <= idle + 2 * BUDGET + ALLOWANCE, f"seed {seed}"
        assert neighbour.rounds > 10
        assert "Traceback" not in broker.log_path.read_text(), f"seed {seed}"
