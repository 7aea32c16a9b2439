"""What the codec costs per request, alone: `python -m bench.codec`. Ends with 1 above a budget.

One-record Produce: header, decode, an answer built and framed. Fetch of ten partitions: the same, its records being
slices of files. CPU time of this process; the median of many runs, each of them many requests, and the fastest.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from moldau.core.protocol import codec
from moldau.core.protocol.batch import Record, build_batch
from moldau.core.protocol.framing import HeaderReader, request_frame, response_chunks, response_frame
from moldau.core.protocol.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from moldau.core.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from moldau.core.protocol.registry import APIS

RUNS = 200
REQUESTS_PER_RUN = 500
PARTITIONS = 10
TOPIC = "measurements"
TOPIC_ID = bytes(range(16))


class Row(NamedTuple):
    """One thing measured, and what it may cost."""

    name: str
    budget_us: float
    work: Callable[[], object]


class Slice:
    """A stand-in for a piece of a file."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length


def received(key: int, version: int, body: bytes) -> tuple[memoryview, int, int]:
    """A request as a session sees it: somewhere in a receive buffer, behind its size."""
    frame = request_frame(key, version, 7, "rdkafka", body, APIS[key].flexible_request(version))
    return memoryview(bytearray(b"?" * 32 + frame + b"?" * 32)), 36, 32 + len(frame)


def produce(version: int) -> Callable[[], object]:
    by_id = version >= 13
    name, topic_id = ("", TOPIC_ID) if by_id else (TOPIC, bytes(16))
    batch = build_batch([Record(0, 1_700_000_000_000, None, b"v" * 100)])
    topics = [TopicProduceData(name, topic_id, [PartitionProduceData(3, batch)])]
    body = codec.encoder(ProduceRequest, version)(ProduceRequest(None, -1, 30_000, topics))
    buffer, start, end = received(0, version, body)
    decode, encode = codec.decoder(ProduceRequest, version), codec.encoder(ProduceResponse, version)
    flexible = APIS[0].flexible_response(version)

    header = HeaderReader()

    def serve() -> bytes:
        position = header.body_start(buffer, start, end, flexible)
        request, _ = decode(buffer, position, end)
        answers = []
        for topic in request.topic_data:
            answer = TopicProduceResponse(name=topic.name, topic_id=topic.topic_id)
            answers.append(answer)
            for data in topic.partition_data:
                answer.partition_responses.append(
                    PartitionProduceResponse(index=data.index, base_offset=12_345, log_start_offset=0)
                )
        return response_frame(7, encode(ProduceResponse(responses=answers)), flexible)

    return serve


def fetch(version: int) -> Callable[[], object]:
    by_id = version >= 13
    name, topic_id = ("", TOPIC_ID) if by_id else (TOPIC, bytes(16))
    wanted = [FetchPartition(index, 3, 1_000, partition_max_bytes=1 << 20) for index in range(PARTITIONS)]
    request = FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(name, topic_id, wanted)])
    buffer, start, end = received(1, version, codec.encoder(FetchRequest, version)(request))
    decode, encode = codec.decoder(FetchRequest, version), codec.chunk_encoder(FetchResponse, version)
    flexible = APIS[1].flexible_response(version)
    held = Slice(16_384)

    header = HeaderReader()

    def serve() -> list[object]:
        position = header.body_start(buffer, start, end, flexible)
        request, _ = decode(buffer, position, end)
        answers = []
        for topic in request.topics:
            partitions = [
                PartitionData(
                    partition_index=partition.partition,
                    high_watermark=2_000,
                    last_stable_offset=2_000,
                    log_start_offset=0,
                    aborted_transactions=None,
                    records=held,
                )
                for partition in topic.partitions
            ]
            answers.append(FetchableTopicResponse(topic=topic.topic, topic_id=topic.topic_id, partitions=partitions))
        return response_chunks(7, encode(FetchResponse(responses=answers)), flexible)

    return serve


def rows() -> list[Row]:
    return [
        Row("one-record Produce v9", 4.0, produce(9)),
        Row("one-record Produce v13", 4.0, produce(13)),
        Row("ten-partition Fetch v12", 40.0, fetch(12)),
        Row("ten-partition Fetch v18", 40.0, fetch(18)),
    ]


def measure(work: Callable[[], object]) -> list[float]:
    """Microseconds of CPU per request, one figure per run."""
    taken = []
    for _ in range(RUNS + 1):
        before = time.process_time()
        for _ in range(REQUESTS_PER_RUN):
            work()
        taken.append((time.process_time() - before) / REQUESTS_PER_RUN * 1e6)
    return taken[1:]  # the first one warms up


def main() -> int:
    missed = []
    print(f"CPU microseconds per request, {RUNS} runs of {REQUESTS_PER_RUN}: header, decode, answer built and framed")
    print(f"{'':26} {'budget':>8} {'median':>8} {'fastest':>8}")
    for row in rows():
        taken = measure(row.work)
        median = statistics.median(taken)
        print(f"{row.name:26} {row.budget_us:8.1f} {median:8.2f} {min(taken):8.2f}")
        if median > row.budget_us:
            missed.append(row.name)
    if missed:
        print(f"MISSED: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
