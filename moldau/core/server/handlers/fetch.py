"""Fetch v4-18. v7: sessions (not kept yet: every answer has session id 0, which clients take as "no session").
v9: leader epochs. v12: flexible, diverging epochs. v13: topics by id. v16: leader hints.

Answers hold whole stored batches as slices of files; the first batch is given whole whatever the limits, so
that no consumer gets stuck, later bytes may be cut mid-batch. An answer with fewer than `min_bytes` waits until
a watermark moves or `max_wait_ms` is over; a partition that cannot be read ends the wait, an unknown one does not.

Deviations: see docs/deviations.md.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any

from moldau.core.base.errors import CorruptData, ErrorCode, Refusal
from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
)
from moldau.core.replication.partition import Partition
from moldau.core.replication.replicas import Hosted
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

logger = logging.getLogger("moldau.server")

TOPIC_IDS_SINCE = 13
LEADER_HINT_SINCE = 16
UNCHECKED = -1  # a reader that does not know the leader's epoch
READ_COMMITTED = 1
ISOLATION_LEVELS = (0, READ_COMMITTED)

WEIGHT_EACH = 400  # bytes of memory that one partition of a waiting request takes

# Who wants more than a byte is in no hurry: so often at most its partitions are looked at again.
LOOK_INTERVAL_S = 0.005


@handles(FetchRequest)
def fetch(ctx: Context, request: FetchRequest, version: int) -> Any:
    if request.session_epoch > 0:
        return FetchResponse(error_code=ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    _name_once(request)
    reading = Reading(ctx, request, version)
    reading.read()
    if reading.enough or request.max_wait_ms <= 0 or not reading.partitions:
        return reading.response
    return FetchPending(reading, ctx.services.loop)


def _name_once(request: FetchRequest) -> None:
    """A partition that is named twice is answered once, and its last position counts."""
    if len(request.topics) > 1:
        merged: dict[tuple[str, bytes], FetchTopic] = {}
        for topic in request.topics:
            first = merged.setdefault((topic.topic, topic.topic_id), topic)
            if first is not topic:
                first.partitions += topic.partitions
        request.topics = list(merged.values())
    for topic in request.topics:
        if len(topic.partitions) > 1:
            topic.partitions = list({part.partition: part for part in topic.partitions}.values())


class Reading:
    """One pass over the asked partitions: what may be read now."""

    __slots__ = ("_bytes_max", "_ctx", "_problem", "_request", "_version", "enough", "partitions", "response", "size")

    def __init__(self, ctx: Context, request: FetchRequest, version: int) -> None:
        self._ctx = ctx
        self._request = request
        self._version = version
        self._bytes_max = min(request.max_bytes, ctx.services.config.fetch_max_bytes)
        self._problem = _problem(request)
        self.response = FetchResponse()
        if request.isolation_level not in ISOLATION_LEVELS:
            self.response.error_code = ErrorCode.UNKNOWN_SERVER_ERROR
        self.partitions: dict[Partition, FetchPartition] = {}  # those that bytes may come of
        self.size = 0
        self.enough = False

    def read(self) -> None:
        """Fill `response`; `enough` says whether it may leave at once."""
        replicas = self._ctx.services.replicas
        by_id = self._version >= TOPIC_IDS_SINCE
        unknown: list[FetchableTopicResponse] = []
        failed = False
        for topic in self._request.topics:
            hosted = replicas.by_id.get(topic.topic_id) if by_id else replicas.by_name.get(topic.topic)
            if hosted is None:
                code = ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                refused = [_refused(part.partition, code, []) for part in topic.partitions]
                unknown.append(FetchableTopicResponse(topic.topic, topic.topic_id, refused))
            else:
                failed |= self._read_topic(topic, hosted, unknown)
        self._add_last(unknown)
        self.enough = failed or self.size >= self.bytes_min

    @property
    def bytes_min(self) -> int:
        return min(self._request.min_bytes, self._bytes_max)

    @property
    def wait_ms(self) -> int:
        return self._request.max_wait_ms

    def again(self) -> Reading:
        """A fresh pass over the same request."""
        fresh = Reading(self._ctx, self._request, self._version)
        fresh.read()
        return fresh

    def measure(self, partition: Partition, part: FetchPartition) -> int:
        """How many bytes one partition would give by itself now; -1 if it fails."""
        if partition.closed:
            return -1
        answer = Reading(self._ctx, self._request, self._version)._read_partition(partition, part)
        if answer.error_code or answer.diverging_epoch.epoch >= 0:
            return -1
        size = len(answer.records)
        if size:
            answer.records.release()
        return size

    def forget(self) -> None:
        """Keep the question only: let go of the answer and its slices."""
        for topic in self.response.responses:
            for part in topic.partitions:
                if part.records:
                    part.records.release()
        self.response = FetchResponse()

    def _add_last(self, unknown: list[FetchableTopicResponse]) -> None:
        """Unknown partitions stand behind all others; neighbours of one topic stand together."""
        responses = self.response.responses
        for answers in unknown:
            last = responses[-1] if responses else None
            if last is not None and (last.topic, last.topic_id) == (answers.topic, answers.topic_id):
                last.partitions += answers.partitions
            elif answers.partitions:
                responses.append(answers)

    def _read_topic(self, topic: FetchTopic, hosted: list[Hosted], unknown: list[FetchableTopicResponse]) -> bool:
        """Whether one of them failed in a way that ends the wait."""
        answers = FetchableTopicResponse(topic.topic, topic.topic_id)
        refused: list[PartitionData] = []
        failed = False
        for part in topic.partitions:
            index = part.partition
            if not 0 <= index < len(hosted):
                refused.append(_refused(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, []))
                continue
            partition = hosted[index]
            if self._problem is not None:
                answer = _refused(index, *self._problem)
            elif partition is None:
                answer = self._elsewhere(topic, index)
            else:
                self.partitions[partition] = part
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
        if epoch != partition.leader_epoch and epoch != UNCHECKED:
            return self._wrong_epoch(partition, epoch)
        log = partition.log
        if log.offline:
            return _refused(partition.index, ErrorCode.KAFKA_STORAGE_ERROR)
        high_watermark = partition.high_watermark
        answer = PartitionData(
            partition.index,
            high_watermark=high_watermark,
            last_stable_offset=high_watermark,
            log_start_offset=log.start_offset,
            aborted_transactions=[] if self._request.isolation_level == READ_COMMITTED else None,
            records=b"",
        )
        if part.last_fetched_epoch >= 0:
            known, end_offset = log.end_offset_for(part.last_fetched_epoch, partition.leader_epoch)
            if known < 0:
                return _refused(partition.index, ErrorCode.OFFSET_OUT_OF_RANGE)
            if known < part.last_fetched_epoch or end_offset < part.fetch_offset:
                # The reader's last batch is not of this log (KIP-595): say where both still agree.
                answer.diverging_epoch = EpochEndOffset(known, end_offset)
                return answer
        bytes_max = min(part.partition_max_bytes, self._bytes_max - self.size)
        if bytes_max <= 0:
            if part.partition_max_bytes < 0:
                return _refused(partition.index, ErrorCode.UNKNOWN_SERVER_ERROR)
            if self.size:
                return answer
            bytes_max = 0
        try:
            found = log.read(part.fetch_offset, bytes_max, upto=high_watermark, at_least_one=not self.size)
        except (OSError, CorruptData, struct.error) as error:
            logger.error("%s-%d cannot be read: %s", partition.topic, partition.index, error)
            return _refused(partition.index, ErrorCode.KAFKA_STORAGE_ERROR)
        if found is None:
            return answer
        if isinstance(found, Refusal):
            return _refused(partition.index, found.code)
        answer.records = found
        self.size += len(found)
        return answer

    def _wrong_epoch(self, partition: Partition, epoch: int) -> PartitionData:
        if epoch > partition.leader_epoch:
            return _refused(partition.index, ErrorCode.UNKNOWN_LEADER_EPOCH)
        answer = _refused(partition.index, ErrorCode.FENCED_LEADER_EPOCH)
        self._hint(answer, (self._ctx.config.node_id, partition.leader_epoch))
        return answer

    def _elsewhere(self, topic: FetchTopic, index: int) -> PartitionData:
        answer = _refused(index, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self._hint(answer, self._ctx.leader_of(topic.topic, topic.topic_id, index))
        return answer

    def _hint(self, answer: PartitionData, leader: tuple[int, int]) -> None:
        """Say who leads, and where it is (KIP-951)."""
        if self._version < LEADER_HINT_SINCE:
            return
        answer.current_leader = LeaderIdAndEpoch(*leader)
        node_id = self._ctx.config.node_id
        if leader[0] == node_id and not self.response.node_endpoints:
            self.response.node_endpoints = [NodeEndpoint(node_id, *self._ctx.advertised_host())]


class FetchPending(Pending[FetchResponse]):
    """A fetch that waits for bytes. It keeps the question, and how much each partition that moved would give.

    A request may name a hundred thousand partitions: only what moved is looked at, and all of them once, for
    the answer.
    """

    __slots__ = ("_look", "_loop", "_moved", "_patient", "_reading", "_sizes", "_timer")

    def __init__(self, reading: Reading, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(self._leave)
        self.weight += WEIGHT_EACH * sum(len(topic.partitions) for topic in reading.response.responses)
        self._sizes = {
            partition: size
            for partition, part in reading.partitions.items()
            if reading.size and (size := reading.measure(partition, part)) > 0
        }
        reading.forget()
        self._reading = reading
        self._loop = loop
        self._patient = reading.bytes_min > 1
        self._moved: dict[Partition, None] = {}
        self._look: asyncio.TimerHandle | None = None
        for partition in reading.partitions:
            partition.fetch_waiters[self] = None
        self._timer = loop.call_later(reading.wait_ms / 1000, self._answer)

    def advanced(self, partition: Partition) -> None:
        """More may be readable in `partition` now, or less."""
        if self.done:
            return
        if not self._patient:
            wanted = self._reading.partitions[partition].fetch_offset
            if wanted < partition.high_watermark or partition.closed or partition.log.offline:
                self._answer()
            return
        self._moved[partition] = None
        if self._look is None:
            self._look = self._loop.call_later(LOOK_INTERVAL_S, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        reading, sizes = self._reading, self._sizes
        moved, self._moved = self._moved, {}
        for partition in moved:
            size = reading.measure(partition, reading.partitions[partition])
            if size < 0:
                self._answer()
                return
            sizes[partition] = size
        if sum(sizes.values()) >= reading.bytes_min:
            self._answer()

    def _answer(self) -> None:
        """There is enough, or something failed, or time is up."""
        if not self.done:
            self._leave()
            self.complete(self._reading.again().response)

    def _leave(self) -> None:
        self._timer.cancel()
        if self._look is not None:
            self._look.cancel()
        for partition in self._reading.partitions:
            partition.fetch_waiters.pop(self, None)


def _problem(request: FetchRequest) -> tuple[ErrorCode, list[Any] | None] | None:
    """What is wrong with a request as a whole; each of its partitions is told."""
    if request.isolation_level not in ISOLATION_LEVELS:
        return ErrorCode.UNKNOWN_SERVER_ERROR, []
    if request.max_bytes < 0:
        return ErrorCode.UNKNOWN_SERVER_ERROR, None
    if request.replica_id >= 0 or request.replica_state.replica_id >= 0:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER, None  # a follower that no partition has
    return None


def _refused(index: int, code: ErrorCode, aborted: list[Any] | None = None) -> PartitionData:
    return PartitionData(index, code, -1, aborted_transactions=aborted, records=b"")
