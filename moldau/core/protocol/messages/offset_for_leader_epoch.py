"""OffsetForLeaderEpoch (API key 23): where a leader epoch ends. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int16, int32, int64, message, string, struct


@struct
class OffsetForLeaderPartition:
    partition: int = int32()
    current_leader_epoch: int = int32(default=-1, ignorable=True)
    leader_epoch: int = int32()


@struct
class OffsetForLeaderTopic:
    topic: str = string(entity="topicName")
    partitions: list[OffsetForLeaderPartition] = array(OffsetForLeaderPartition)


@message("request", 23, "2-4", flexible="4+")
class OffsetForLeaderEpochRequest:
    """An epoch per partition."""

    replica_id: int = int32("3+", default=-2, ignorable=True, entity="brokerId")
    topics: list[OffsetForLeaderTopic] = array(OffsetForLeaderTopic)


@struct
class EpochEndOffset:
    error_code: int = int16()
    partition: int = int32()
    leader_epoch: int = int32(default=-1, ignorable=True)
    end_offset: int = int64(default=-1)


@struct
class OffsetForLeaderTopicResult:
    topic: str = string(entity="topicName")
    partitions: list[EpochEndOffset] = array(EpochEndOffset)


@message("response", 23, "2-4", flexible="4+")
class OffsetForLeaderEpochResponse:
    """The largest epoch not above the asked one, and its end offset."""

    throttle_time_ms: int = int32(ignorable=True)
    topics: list[OffsetForLeaderTopicResult] = array(OffsetForLeaderTopicResult)
