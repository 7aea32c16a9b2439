"""ListOffsets (API key 2): offsets by time. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int8, int16, int32, int64, message, string, struct


@struct
class ListOffsetsPartition:
    partition_index: int = int32()
    current_leader_epoch: int = int32("4+", default=-1, ignorable=True)
    timestamp: int = int64()


@struct
class ListOffsetsTopic:
    name: str = string(entity="topicName")
    partitions: list[ListOffsetsPartition] = array(ListOffsetsPartition)


@message("request", 2, "1-11", flexible="6+")
class ListOffsetsRequest:
    """Per partition a timestamp, or one of the special negative ones."""

    replica_id: int = int32(entity="brokerId")
    isolation_level: int = int8("2+")
    topics: list[ListOffsetsTopic] = array(ListOffsetsTopic)
    timeout_ms: int = int32("10+", ignorable=True)


@struct
class ListOffsetsPartitionResponse:
    partition_index: int = int32()
    error_code: int = int16()
    timestamp: int = int64(default=-1)
    offset: int = int64(default=-1)
    leader_epoch: int = int32("4+", default=-1)


@struct
class ListOffsetsTopicResponse:
    name: str = string(entity="topicName")
    partitions: list[ListOffsetsPartitionResponse] = array(ListOffsetsPartitionResponse)


@message("response", 2, "1-11", flexible="6+")
class ListOffsetsResponse:
    """The offset found per partition."""

    throttle_time_ms: int = int32("2+", ignorable=True)
    topics: list[ListOffsetsTopicResponse] = array(ListOffsetsTopicResponse)
