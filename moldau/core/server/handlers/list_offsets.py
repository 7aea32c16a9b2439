"""ListOffsets v1-11. Negative timestamps ask for special offsets, each from the version that knows it.

LATEST is the high watermark, but waits for the log end it saw, so that who wrote with acks=1 finds its own
record. A partition that is named twice is an error, said once. Deviations: none known.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any, NamedTuple

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

UNCHECKED = -1  # a client that does not know the leader's epoch
ISOLATION_LEVELS = (0, 1)
DEFAULT_WAIT_MS = 30_000
WEIGHT_EACH = 400  # bytes of memory that one partition of a request and its piece of the answer take
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
    pending.weight += WEIGHT_EACH * sum(len(topic.partitions) for topic in request.topics)
    asking = Asking(ctx, version, pending, isolated=request.isolation_level in ISOLATION_LEVELS)
    answers: dict[str, dict[int, ListOffsetsPartitionResponse]] = {}
    asked = Counter((topic.name, part.partition_index) for topic in request.topics for part in topic.partitions)
    for topic in request.topics:
        parts = answers.setdefault(topic.name, {})
        for part in topic.partitions:
            index = part.partition_index
            answer = parts[index] = ListOffsetsPartitionResponse(index)
            if asked[topic.name, index] > 1:
                answer.error_code = ErrorCode.INVALID_REQUEST
            else:
                asking.answer(topic.name, part, answer)
    response.topics = [ListOffsetsTopicResponse(name, list(parts.values())) for name, parts in answers.items() if parts]
    pending.remaining -= 1
    return pending if pending.remaining else response


class Asking(NamedTuple):
    """What is the same for all partitions of a request."""

    ctx: Context
    version: int
    pending: OffsetsPending
    isolated: bool  # by a level that exists

    def answer(self, topic: str, part: ListOffsetsPartition, answer: ListOffsetsPartitionResponse) -> None:
        """Fill in `answer`, or leave it to `pending`."""
        timestamp = part.timestamp
        partition = self.ctx.replicas.get(topic, part.partition_index)
        if timestamp < 0 and self.version < SINCE.get(timestamp, 1 << 15):
            answer.error_code = ErrorCode.UNSUPPORTED_VERSION
        elif partition is None:
            answer.error_code = self.ctx.why_not_here(topic, part.partition_index)
        elif part.current_leader_epoch not in (UNCHECKED, partition.leader_epoch):
            newer = part.current_leader_epoch > partition.leader_epoch
            answer.error_code = ErrorCode.UNKNOWN_LEADER_EPOCH if newer else ErrorCode.FENCED_LEADER_EPOCH
        elif not self.isolated:
            answer.error_code = ErrorCode.UNKNOWN_SERVER_ERROR
        elif partition.log.offline:
            answer.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        elif timestamp == LATEST:
            self.pending.remaining += 1
            end_offset = partition.log.end_offset
            epoch = _epoch(partition.leader_epoch, self.version)
            partition.wait_committed(end_offset, self.pending, (answer, partition, end_offset, epoch))
        elif timestamp in (EARLIEST, EARLIEST_LOCAL):
            answer.offset = partition.log.start_offset
            answer.leader_epoch = _epoch(_first_epoch(partition), self.version)
        elif timestamp == MAX_TIMESTAMP or timestamp >= 0:
            _search(partition, (timestamp, self.version), answer)


def _first_epoch(partition: Partition) -> int:
    """The epoch of the first record; of the one to come where there is none."""
    log = partition.log
    if log.start_offset == log.end_offset:
        return partition.leader_epoch
    return log.leader_epochs.epoch_at(log.start_offset)


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
