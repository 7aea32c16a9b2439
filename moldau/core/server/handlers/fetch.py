"""Fetch v4-18. v7: sessions (not kept yet: every answer has session id 0, which clients take as "no session").
v9: leader epochs. v12: flexible, diverging epochs. v13: topics by id.

Answers hold whole stored batches as slices of files; the first batch is given whole whatever the limits, so
that no consumer gets stuck, later bytes may be cut mid-batch. An answer with fewer than `min_bytes` waits until
a watermark moves or `max_wait_ms` is over; a partition that cannot be read ends the wait, an unknown one does not.

Deviations: see docs/deviations.md.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    LeaderIdAndEpoch,
    PartitionData,
)
from moldau.core.replication.partition import Partition
from moldau.core.replication.replicas import Hosted, Replicas
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

logger = logging.getLogger("moldau.server")

TOPIC_IDS_SINCE = 13
LEADER_HINT_SINCE = 16
READ_COMMITTED = 1
ISOLATION_LEVELS = (0, READ_COMMITTED)
FINAL_EPOCH = -1


@handles(FetchRequest)
def fetch(ctx: Context, request: FetchRequest, version: int) -> Any:
    if (request.session_id or request.session_epoch > 0) and request.session_epoch != FINAL_EPOCH:
        return FetchResponse(error_code=ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    if request.isolation_level not in ISOLATION_LEVELS:
        return FetchResponse(error_code=ErrorCode.UNKNOWN_SERVER_ERROR)
    reading = Reading(ctx.services.replicas, request, version, ctx.services.config.fetch_max_bytes)
    reading.read()
    if reading.enough or request.max_wait_ms <= 0 or not reading.partitions:
        return reading.response
    return FetchPending(reading, ctx.services.loop, request.max_wait_ms)


class Reading:
    """One pass over the asked partitions: what may be read now."""

    __slots__ = ("_bytes_left", "_replicas", "_request", "_version", "enough", "partitions", "response", "size")

    def __init__(self, replicas: Replicas, request: FetchRequest, version: int, bytes_max: int) -> None:
        self._replicas = replicas
        self._request = request
        self._version = version
        self._bytes_left = min(request.max_bytes, bytes_max)
        self.response = FetchResponse()
        self.partitions: list[Partition] = []
        self.size = 0
        self.enough = False

    def read(self) -> None:
        """Fill `response`; `enough` says whether it may leave at once."""
        request, replicas = self._request, self._replicas
        bytes_min = min(request.min_bytes, self._bytes_left)
        unknown: list[FetchableTopicResponse] = []
        failed = False
        for topic in request.topics:
            by_id = self._version >= TOPIC_IDS_SINCE
            hosted = replicas.by_id.get(topic.topic_id) if by_id else replicas.by_name.get(topic.topic)
            if hosted is None:
                code = ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                unknown.append(_all_refused(topic, code))
            else:
                failed |= self._read_topic(topic, hosted, unknown)
        self.response.responses.extend(unknown)
        self.enough = failed or self.size >= bytes_min

    def again(self) -> Reading:
        """A fresh pass; the slices of this one are let go."""
        self.discard()
        fresh = Reading(self._replicas, self._request, self._version, self._bytes_left + self.size)
        fresh.read()
        return fresh

    def discard(self) -> None:
        """Nobody will be sent this: let its slices go."""
        for topic in self.response.responses:
            for part in topic.partitions:
                if part.records:
                    part.records.release()

    def _read_topic(self, topic: FetchTopic, hosted: list[Hosted], unknown: list[FetchableTopicResponse]) -> bool:
        answers = FetchableTopicResponse(topic.topic, topic.topic_id)
        refused: list[PartitionData] = []
        failed = False
        # A partition named twice is answered once, and its last position counts.
        wanted = topic.partitions
        if len(wanted) > 1:
            wanted = list({part.partition: part for part in wanted}.values())
        for part in wanted:
            index = part.partition
            if not 0 <= index < len(hosted):
                refused.append(_refused(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, []))
                continue
            partition = hosted[index]
            if partition is None:
                answer = _refused(index, ErrorCode.NOT_LEADER_OR_FOLLOWER, None)
            else:
                self.partitions.append(partition)
                answer = self._read_partition(partition, part)
            failed |= answer.error_code != 0 or answer.diverging_epoch.epoch >= 0
            answers.partitions.append(answer)
        if answers.partitions:
            self.response.responses.append(answers)
        if refused:
            unknown.append(FetchableTopicResponse(topic.topic, topic.topic_id, refused))
        return failed

    def _read_partition(self, partition: Partition, part: FetchPartition) -> PartitionData:
        epoch = part.current_leader_epoch
        if epoch >= 0 and epoch != partition.leader_epoch:
            return self._wrong_epoch(partition, epoch)
        high_watermark = partition.high_watermark
        log = partition.log
        aborted: list[Any] | None = [] if self._request.isolation_level == READ_COMMITTED else None
        answer = PartitionData(
            partition.index,
            high_watermark=high_watermark,
            last_stable_offset=high_watermark,
            log_start_offset=log.start_offset,
            aborted_transactions=aborted,
            records=b"",
        )
        if part.last_fetched_epoch >= 0 and self._diverges(partition, part, answer):
            return answer
        if log.offline:
            return _refused(partition.index, ErrorCode.KAFKA_STORAGE_ERROR, None)
        bytes_max = min(part.partition_max_bytes, self._bytes_left)
        if bytes_max <= 0 and self.size:
            return answer
        try:
            found = log.read(part.fetch_offset, max(bytes_max, 0), upto=high_watermark, at_least_one=not self.size)
        except OSError as error:
            logger.error("%s-%d cannot be read: %s", partition.topic, partition.index, error)
            return _refused(partition.index, ErrorCode.KAFKA_STORAGE_ERROR, None)
        if found is None:
            return answer
        if isinstance(found, Refusal):
            return _refused(partition.index, found.code, None)
        answer.records = found
        size = len(found)
        self.size += size
        self._bytes_left -= size
        return answer

    def _diverges(self, partition: Partition, part: FetchPartition, answer: PartitionData) -> bool:
        """Whether the reader's last batch is not of this log (KIP-595); says where both still agree."""
        epoch, end_offset = partition.log.end_offset_for(part.last_fetched_epoch, partition.leader_epoch)
        if epoch < 0 or epoch > part.last_fetched_epoch:
            answer.error_code = ErrorCode.OFFSET_OUT_OF_RANGE
            return True
        if epoch == part.last_fetched_epoch and end_offset >= part.fetch_offset:
            return False
        answer.diverging_epoch = EpochEndOffset(epoch, end_offset)
        return True

    def _wrong_epoch(self, partition: Partition, epoch: int) -> PartitionData:
        if epoch > partition.leader_epoch:
            return _refused(partition.index, ErrorCode.UNKNOWN_LEADER_EPOCH, None)
        answer = _refused(partition.index, ErrorCode.FENCED_LEADER_EPOCH, None)
        if self._version >= LEADER_HINT_SINCE:
            answer.current_leader = LeaderIdAndEpoch(self._replicas.node_id, partition.leader_epoch)
        return answer


class FetchPending(Pending[FetchResponse]):
    """A fetch that waits for bytes: looked at again whenever one of its partitions moves."""

    __slots__ = ("_partitions", "_reading", "_timer")

    def __init__(self, reading: Reading, loop: asyncio.AbstractEventLoop, wait_ms: int) -> None:
        super().__init__(self._abandoned)
        self._reading = reading
        self._partitions = reading.partitions
        for partition in self._partitions:
            partition.fetch_waiters[self] = None
        self._timer = loop.call_later(wait_ms / 1000, self._time_is_up)

    def advanced(self) -> None:
        """More may be readable now, or less."""
        if self.done:
            return
        self._reading = self._reading.again()
        if self._reading.enough or not self._reading.partitions:
            self._answer()

    def _time_is_up(self) -> None:
        if not self.done:
            self._answer()

    def _answer(self) -> None:
        self._leave()
        self.complete(self._reading.response)

    def _abandoned(self) -> None:
        self._leave()
        self._reading.discard()

    def _leave(self) -> None:
        self._timer.cancel()
        for partition in self._partitions:
            partition.fetch_waiters.pop(self, None)


def _refused(index: int, code: ErrorCode, aborted: list[Any] | None) -> PartitionData:
    return PartitionData(index, code, -1, aborted_transactions=aborted, records=b"")


def _all_refused(topic: FetchTopic, code: ErrorCode) -> FetchableTopicResponse:
    parts = [_refused(part.partition, code, []) for part in topic.partitions]
    return FetchableTopicResponse(topic.topic, topic.topic_id, parts)
