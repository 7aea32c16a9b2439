"""ListOffsets v1-11. Negative timestamps ask for special offsets, each from the version that knows it.

LATEST is the high watermark, but waits for the log end it saw, so that who wrote with acks=1 finds its own
record. Deviations: none known.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from moldau.core.base.errors import CorruptData, ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from moldau.core.replication.partition import Partition
from moldau.core.replication.waiters import ProducePending
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

log = logging.getLogger("moldau.server")

LATEST = -1
EARLIEST = -2
MAX_TIMESTAMP = -3
EARLIEST_LOCAL = -4
LATEST_TIERED = -5
EARLIEST_PENDING_UPLOAD = -6

# The version that brought each special timestamp.
SINCE = {LATEST: 1, EARLIEST: 1, MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}

DEFAULT_WAIT_MS = 30_000
EPOCHS_SINCE = 4
TIMEOUT_SINCE = 10


class OffsetsPending(ProducePending):
    """Waits for the log ends that LATEST saw; a partition's piece of the answer is filled in when it got there."""

    __slots__ = ()

    def settled(self, part: Any, code: ErrorCode) -> None:
        answer, partition, end_offset, epoch = part
        if code:
            answer.error_code = code
        else:
            answer.offset = max(end_offset, partition.high_watermark)
            answer.leader_epoch = epoch
        self.remaining -= 1
        if self.remaining == 0:
            self.complete(self.response)


@handles(ListOffsetsRequest)
def list_offsets(
    ctx: Context, request: ListOffsetsRequest, version: int
) -> ListOffsetsResponse | Pending[ListOffsetsResponse]:
    response = ListOffsetsResponse()
    wait_ms = request.timeout_ms if version >= TIMEOUT_SINCE and request.timeout_ms > 0 else DEFAULT_WAIT_MS
    pending = OffsetsPending(response, ctx.replicas.now_ms + wait_ms)
    pending.remaining = 1
    asked = Counter((topic.name, part.partition_index) for topic in request.topics for part in topic.partitions)
    for topic in request.topics:
        answers: list[ListOffsetsPartitionResponse] = []
        for part in topic.partitions:
            index = part.partition_index
            answer = ListOffsetsPartitionResponse(index)
            if asked[topic.name, index] > 1:
                answer.error_code = ErrorCode.INVALID_REQUEST
                if any(other.partition_index == index for other in answers):
                    continue
            else:
                _answer(ctx, (topic.name, part, version), answer, pending)
            answers.append(answer)
        response.topics.append(ListOffsetsTopicResponse(topic.name, answers))
    pending.remaining -= 1
    return pending if pending.remaining else response


def _answer(
    ctx: Context,
    asked: tuple[str, ListOffsetsPartition, int],
    answer: ListOffsetsPartitionResponse,
    pending: OffsetsPending,
) -> None:
    topic, part, version = asked
    partition = ctx.replicas.get(topic, part.partition_index)
    if partition is None:
        answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return
    epoch = part.current_leader_epoch
    if epoch >= 0 and epoch != partition.leader_epoch:
        newer = epoch > partition.leader_epoch
        answer.error_code = ErrorCode.UNKNOWN_LEADER_EPOCH if newer else ErrorCode.FENCED_LEADER_EPOCH
        return
    timestamp = part.timestamp
    if timestamp < 0 and version < SINCE.get(timestamp, 1 << 15):
        answer.error_code = ErrorCode.UNSUPPORTED_VERSION
    elif partition.log.offline:
        answer.error_code = ErrorCode.KAFKA_STORAGE_ERROR
    elif timestamp == LATEST:
        pending.remaining += 1
        end_offset = partition.log.end_offset
        partition.wait_committed(
            end_offset, pending, (answer, partition, end_offset, _epoch(partition.leader_epoch, version))
        )
    elif timestamp in (EARLIEST, EARLIEST_LOCAL):
        answer.offset = partition.log.start_offset
        answer.leader_epoch = _epoch(partition.log.leader_epochs.epoch_at(partition.log.start_offset), version)
    elif timestamp == MAX_TIMESTAMP or timestamp >= 0:
        _search(partition, (timestamp, version), answer)


def _epoch(epoch: int, version: int) -> int:
    """Before v4 there is no place for an epoch."""
    return epoch if version >= EPOCHS_SINCE else -1


def _search(partition: Partition, asked: tuple[int, int], answer: ListOffsetsPartitionResponse) -> None:
    """Find a record by its timestamp; nothing found is offset -1 and no error."""
    timestamp, version = asked
    upto = partition.high_watermark
    try:
        if timestamp == MAX_TIMESTAMP:
            found = partition.log.max_timestamp(upto)
        else:
            found = partition.log.offset_for_timestamp(timestamp, upto)
    except (OSError, CorruptData) as error:
        log.error("%s-%d cannot be searched by time: %s", partition.topic, partition.index, error)
        answer.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        return
    if found is not None:
        answer.offset, answer.timestamp, epoch = found
        answer.leader_epoch = _epoch(epoch, version)
