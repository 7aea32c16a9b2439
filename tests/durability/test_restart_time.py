"""Back within two seconds after kill -9 with 1 GB of log in 16 partitions, whether batches hold one record or many."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from bench.build import program
from moldau.core.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from tests.conftest import Result
from tests.support import batches, tools
from tests.support.admin import end_offsets, make_topic
from tests.support.brokers import chosen
from tests.support.process import BrokerProcess
from tests.support.wire import Wire, frame

pytestmark = pytest.mark.slow

TOPIC, PARTITIONS = "big", 16
BYTES = 1 << 30
VALUE = b"abcdefghij" * 100
LIMIT_S = 2.0
IN_FLIGHT = 8


def fill(broker: BrokerProcess, records: int) -> int:
    """1 GB, dealt out over the partitions in batches of `records`; the number of records in each partition."""
    batch = batches.build([VALUE] * records)
    parts = [PartitionProduceData(index=index, records=batch) for index in range(PARTITIONS)]
    request = ProduceRequest(
        acks=-1, timeout_ms=30_000, topic_data=[TopicProduceData(name=TOPIC, partition_data=parts)]
    )
    payload = frame(request, 9, 1)
    rounds = BYTES // (len(batch) * PARTITIONS)
    with Wire(broker.host, broker.port) as connection:
        for number in range(rounds + IN_FLIGHT):
            if number < rounds:
                connection.send_frame(payload)
            if number >= IN_FLIGHT:
                connection.receive_frame()
        last = connection.call(request, ProduceResponse, 9)
    assert {part.error_code for part in last.responses[0].partition_responses} == {0}
    return (rounds + 1) * records


@pytest.mark.timeout(400)
@pytest.mark.parametrize("records", [1, 500], ids=["one record", "many records"])
def test_the_first_acknowledgement_after_kill_9(records: int, tmp_path: Path, result: Result) -> None:
    tools.need("cc")
    client = program("produce_load")
    with chosen(tmp_path) as broker:
        make_topic(broker.bootstrap, TOPIC, PARTITIONS, {"segment.bytes": str(256 << 20)})
        each = fill(broker, records)
        broker.kill()
        begun = time.monotonic_ns()
        broker.launch()
        ask = [str(client), "--port", str(broker.port), "--topic", TOPIC, "--first", "1"]
        done = subprocess.run(ask, capture_output=True, text=True, check=True)
        seconds = (json.loads(done.stdout)["first_ns"] - begun) / 1e9
        broker.wait_ready()
        result(batches_of=records, first_acknowledgement_s=round(seconds, 2))
        assert end_offsets(broker.bootstrap, TOPIC, PARTITIONS) == [each + 1, *[each] * (PARTITIONS - 1)]
        assert seconds <= LIMIT_S
