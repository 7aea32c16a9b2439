"""Produce v3-13. v7: zstd. v9: flexible. v10: leader hints. v13: topics by id.

The batch is checked, gets its offsets and is gathered in this call; the answer leaves once it is written
(acks=1) or below the high watermark (acks=all), which in `synced` durability means synced. acks=0 is never
answered, and any error closes the connection, as Kafka does. A partition that is named twice is appended to
and answered once, with the batch named last.

Deviations: see docs/deviations.md (a record broken inside a batch whose CRC is right is stored; refusals say why).
"""

from __future__ import annotations

from typing import Any

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.ids import ZERO_UUID
from moldau.core.log.producers import Duplicate
from moldau.core.log.validator import one_batch
from moldau.core.protocol.messages.produce import (
    LeaderIdAndEpoch,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from moldau.core.replication.partition import Partition
from moldau.core.replication.waiters import ProducePending
from moldau.core.server.context import Context
from moldau.core.server.registry import handles
from moldau.core.server.session import NO_ANSWER, CloseConnection

TRANSACTIONAL_BIT = 0x10
ATTRIBUTES_LOW_BYTE = 22  # of a batch header: the byte that holds codec, timestamp type and transactional bit
WEIGHT_EACH = 200  # bytes of memory that one partition's piece of an answer takes
CODEC_MASK = 0x07
ZSTD = 4
ZSTD_SINCE = 7
LEADER_HINTS_SINCE = 10
TOPIC_IDS_SINCE = 13

# Refusals by the validator or the log tell the true log start offset; those made before them do not.
_WITH_LOG_START = frozenset(
    {
        ErrorCode.INVALID_RECORD,
        ErrorCode.INVALID_TIMESTAMP,
        ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode.INVALID_PRODUCER_EPOCH,
    }
)


@handles(ProduceRequest)
def produce(ctx: Context, request: ProduceRequest, version: int) -> Any:
    acks = request.acks
    response = ProduceResponse()
    replicas = ctx.services.replicas
    pending = ProducePending(response, replicas.now_ms + request.timeout_ms)
    pending.remaining = 1  # this call's own hold, so that nothing completes before all partitions were looked at
    by_id = version >= TOPIC_IDS_SINCE
    usual = -1 <= acks <= 1 and version >= ZSTD_SINCE
    topics = request.topic_data
    if len(topics) > 1:
        topics = _each_once(topics)
    for topic in topics:
        if by_id:
            partitions = replicas.by_id.get(topic.topic_id)
            answers = TopicProduceResponse(topic_id=topic.topic_id)
        else:
            partitions = replicas.by_name.get(topic.name)
            answers = TopicProduceResponse(topic.name)
        response.responses.append(answers)
        parts = topic.partition_data
        if len(parts) > 1:
            parts = _last_of_each(parts)
            pending.weight += len(parts) * WEIGHT_EACH
        for part in parts:
            index = part.index
            answer = PartitionProduceResponse(index)
            answers.partition_responses.append(answer)
            if partitions is None or not 0 <= index < len(partitions):
                _refuse(answer, ErrorCode.UNKNOWN_TOPIC_ID if by_id and partitions is None else _UNKNOWN)
                continue
            partition = partitions[index]
            if not usual and _refused_early(part.records, answer, acks, version):
                continue
            if partition is None:
                _refuse(answer, ErrorCode.NOT_LEADER_OR_FOLLOWER)
                if version >= LEADER_HINTS_SINCE:
                    answer.current_leader = LeaderIdAndEpoch(*ctx.leader_of(topic.name, topic.topic_id, index))
            else:
                _append(partition, part.records, answer, acks, pending)
    pending.remaining -= 1
    if acks == 0:
        return _unanswered(response)
    return pending if pending.remaining else response


_UNKNOWN = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def _each_once(topics: list[TopicProduceData]) -> list[TopicProduceData]:
    """Entries of the same topic as one."""
    merged: dict[tuple[str, bytes], TopicProduceData] = {}
    for topic in topics:
        first = merged.setdefault((topic.name, topic.topic_id), topic)
        if first is not topic:
            first.partition_data += topic.partition_data
    return topics if len(merged) == len(topics) else list(merged.values())


def _last_of_each(parts: list[PartitionProduceData]) -> list[PartitionProduceData]:
    """Of a partition that is named more than once only the last batch counts."""
    last = {part.index: part for part in parts}
    return parts if len(last) == len(parts) else list(last.values())


def _refused_early(records: Any, answer: PartitionProduceResponse, acks: int, version: int) -> bool:
    """What Kafka refuses before it looks for the partition: no batch at all, zstd too early, acks."""
    found = one_batch(records) if records is not None else Refusal(ErrorCode.INVALID_RECORD)
    if isinstance(found, Refusal):
        if found.code != ErrorCode.INVALID_RECORD:
            return False  # the log says so
        _refuse(answer, found.code, found.message)
    elif version < ZSTD_SINCE and records[ATTRIBUTES_LOW_BYTE] & CODEC_MASK == ZSTD:
        _refuse(answer, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "zstd is taken from version 7 of Produce on")
    elif not -1 <= acks <= 1:
        _refuse(answer, ErrorCode.INVALID_REQUIRED_ACKS)
    else:
        return False
    return True


def _append(partition: Partition, records: Any, answer: PartitionProduceResponse, acks: int, pending: Any) -> None:
    if partition.internal:
        _refuse(answer, ErrorCode.INVALID_TOPIC_EXCEPTION)
        return
    if records is None:
        _refuse(answer, ErrorCode.INVALID_RECORD)
        return
    if len(records) > ATTRIBUTES_LOW_BYTE and records[ATTRIBUTES_LOW_BYTE] & TRANSACTIONAL_BIT:
        # Transactions are not served yet; Kafka answers a transactional batch without an open transaction so.
        _refuse(answer, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        return
    log = partition.log
    result = log.append(records, partition.leader_epoch)
    if type(result) is int:
        end_offset = log.end_offset
        answer.base_offset = result
        answer.log_append_time_ms = log.append_time
    elif isinstance(result, Duplicate):
        end_offset = result.end_offset
        answer.base_offset = result.base_offset
        answer.log_append_time_ms = result.timestamp
    else:
        assert isinstance(result, Refusal)
        _refuse(answer, result.code, result.message)
        if result.code in _WITH_LOG_START and not isinstance(one_batch(records), Refusal):
            answer.log_start_offset = log.start_offset
        return
    answer.log_start_offset = log.start_offset
    if acks < 0:
        if end_offset > partition.high_watermark:
            pending.remaining += 1
            partition.wait_committed(end_offset, pending, answer)
    elif acks == 1 and end_offset > log.written_offset:
        pending.remaining += 1
        partition.wait_written(end_offset, pending, answer)


def _refuse(answer: PartitionProduceResponse, code: ErrorCode, message: str | None = None) -> None:
    answer.error_code = code
    answer.base_offset = -1
    answer.error_message = message


def _unanswered(response: ProduceResponse) -> Any:
    for topic in response.responses:
        for part in topic.partition_responses:
            if part.error_code:
                name = topic.name or (topic.topic_id != ZERO_UUID and topic.topic_id.hex())
                raise CloseConnection(
                    f"acks=0 to {name}-{part.index} failed with {ErrorCode(part.error_code).name}; "
                    "closing is how such a client learns of it"
                )
    return NO_ANSWER
