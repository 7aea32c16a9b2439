"""Small questions to a broker on the level of the wire: make a topic, append one batch, read one partition.

They work on Moldau and on Apache Kafka alike; what the oracle takes its time for (leading a new topic) is waited for.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, NamedTuple

from moldau.core.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from moldau.core.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from moldau.core.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from moldau.core.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from moldau.core.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from tests.support.wire import Wire

IDS_SINCE = 13


class Topic(NamedTuple):
    name: str
    id: bytes = bytes(16)


class Place(NamedTuple):
    """One partition; a topic stands for its first."""

    topic: Topic
    partition: int = 0


def new_name() -> str:
    return f"topic-{uuid.uuid4().hex[:12]}"


def new_topic(wire: Wire, partitions: int = 1, name: str = "", **configs: str) -> Topic:
    """A topic with a name of its own; `configs` with '_' for '.'. Returns when every partition takes requests."""
    name = name or new_name()
    wanted = CreatableTopic(name, partitions, 1)
    wanted.configs = [CreatableTopicConfig(key.replace("_", "."), value) for key, value in configs.items()]
    (made,) = wire.call(CreateTopicsRequest([wanted], 30_000), CreateTopicsResponse, 7).topics
    assert made.error_code == 0, made
    asked = [ListOffsetsPartition(index, -1, -1) for index in range(partitions)]
    for _ in range(100):
        offsets = wire.call(ListOffsetsRequest(-1, 0, [ListOffsetsTopic(name, asked)]), ListOffsetsResponse, 7)
        if all(part.error_code == 0 for part in offsets.topics[0].partitions):
            break
        time.sleep(0.05)  # only ever on the oracle
    return Topic(name, made.topic_id)


def wait_for_topic(wire: Wire, name: str) -> Topic:
    """A topic that is made when a client asks for it."""
    for _ in range(100):
        asked = MetadataRequest([MetadataRequestTopic(name=name)])
        (found,) = wire.call(asked, MetadataResponse, 12).topics
        if found.error_code == 0:
            return Topic(name, found.topic_id)
        time.sleep(0.05)  # only ever on the oracle
    raise TimeoutError(name)


def produce_request(place: Topic | Place, records: Any, *, acks: int = -1, timeout_ms: int = 30_000) -> ProduceRequest:
    """A request with one partition, good for every version."""
    topic, index = _place(place)
    data = TopicProduceData(topic.name, topic.id, [PartitionProduceData(index, records)])
    return ProduceRequest(None, acks, timeout_ms, [data])


def produce(
    wire: Wire, place: Topic | Place, records: Any, *, version: int = 9, acks: int = -1
) -> PartitionProduceResponse:
    """Append, and what that partition was answered."""
    answer = wire.call(produce_request(place, records, acks=acks), ProduceResponse, version)
    ((part,),) = [topic.partition_responses for topic in answer.responses]
    return part


def fetch_partition(index: int = 0, offset: int = 0, **more: Any) -> FetchPartition:
    return FetchPartition(partition=index, fetch_offset=offset, **{"partition_max_bytes": 1 << 20, **more})


def fetch_request(
    topic: Topic, *partitions: FetchPartition, max_wait_ms: int = 0, min_bytes: int = 1, **more: Any
) -> FetchRequest:
    """A request for one topic without a session, good for every version."""
    asked = list(partitions) or [fetch_partition()]
    return FetchRequest(
        topics=[FetchTopic(topic.name, topic.id, asked)], max_wait_ms=max_wait_ms, min_bytes=min_bytes, **more
    )


def fetch(wire: Wire, topic: Topic, *partitions: FetchPartition, version: int = 12, **more: Any) -> list[PartitionData]:
    """What the partitions of one topic hold, in the order of the answer."""
    answer = wire.call(fetch_request(topic, *partitions, **more), FetchResponse, version)
    assert answer.error_code == 0, answer
    return [part for each in answer.responses for part in each.partitions]


def fetch_one(wire: Wire, topic: Topic, offset: int = 0, *, version: int = 12, **more: Any) -> PartitionData:
    """Partition 0 from `offset` on, at once."""
    (part,) = fetch(wire, topic, fetch_partition(0, offset), version=version, **more)
    return part


def _place(place: Topic | Place) -> Place:
    return place if isinstance(place, Place) else Place(place)
