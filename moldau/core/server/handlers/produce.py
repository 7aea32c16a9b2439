"""Produce v3-13. v9: flexible. v10: leader hints (not needed: one node). v13: topics by id.

The batch is checked, gets its offsets and is gathered in this call; the answer leaves once it is written
(acks=1) or below the high watermark (acks=all), which in `synced` durability means synced. acks=0 is never
answered, and any error closes the connection, as Kafka does.

Deviations: see docs/deviations.md (a record broken inside a batch whose CRC is right is stored).
"""

from __future__ import annotations

from typing import Any

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.ids import ZERO_UUID
from moldau.core.log.producers import Duplicate
from moldau.core.protocol.messages.produce import (
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from moldau.core.replication.partition import Partition
from moldau.core.replication.waiters import ProducePending
from moldau.core.server.context import Context
from moldau.core.server.registry import handles
from moldau.core.server.session import NO_ANSWER, CloseConnection

TRANSACTIONAL_BIT = 0x10
ATTRIBUTES_LOW_BYTE = 22  # of a batch header: the byte that holds codec, timestamp type and transactional bit
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
    wrong_acks = not -1 <= acks <= 1
    for topic in request.topic_data:
        if by_id:
            partitions = replicas.by_id.get(topic.topic_id)
            answers = TopicProduceResponse(topic_id=topic.topic_id)
        else:
            partitions = replicas.by_name.get(topic.name)
            answers = TopicProduceResponse(topic.name)
        response.responses.append(answers)
        for part in topic.partition_data:
            index = part.index
            answer = PartitionProduceResponse(index)
            answers.partition_responses.append(answer)
            if partitions is None or not 0 <= index < len(partitions):
                _refuse(answer, ErrorCode.UNKNOWN_TOPIC_ID if by_id and partitions is None else _UNKNOWN)
                continue
            partition = partitions[index]
            if wrong_acks:
                _refuse(answer, ErrorCode.INVALID_REQUIRED_ACKS)
            elif partition is None:
                _refuse(answer, ErrorCode.NOT_LEADER_OR_FOLLOWER)
            else:
                _append(partition, part.records, answer, acks, pending)
    pending.remaining -= 1
    if acks == 0:
        return _unanswered(response)
    return pending if pending.remaining else response


_UNKNOWN = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


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
        if result.code in _WITH_LOG_START:
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
