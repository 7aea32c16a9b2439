"""One partition this broker leads: its high watermark, and who waits for it.

The high watermark is the offset below which records are acknowledged and may be read: the synced offset in
`synced` durability, the written one in `page-cache`. It never moves back while the leader epoch stands.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from moldau.core.base.errors import ErrorCode, KafkaError, Refusal
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.producers import Duplicate
from moldau.core.replication.waiters import Callback, FetchWaiter, Settled

log = logging.getLogger("moldau.replication")

# (offset below which all must be acknowledged, who waits, what it gave along)
Wait = tuple[int, Settled, Any]

NEVER_MS = 1 << 62
FAILED = "somebody who waited for %s-%d failed"


class Partition:
    """Leader of one partition. The listener of its log."""

    __slots__ = (
        "_committed_waits",
        "_written_waits",
        "closed",
        "fetch_waiters",
        "high_watermark",
        "index",
        "internal",
        "leader_epoch",
        "log",
        "synced_only",
        "topic",
        "topic_id",
    )

    def __init__(self, partition_log: PartitionLog, leader_epoch: int, *, internal: bool) -> None:
        self.topic = partition_log.topic
        self.index = partition_log.partition
        self.topic_id = partition_log.topic_id
        self.log = partition_log
        self.leader_epoch = leader_epoch
        self.internal = internal
        self.synced_only = partition_log.durable
        self.high_watermark = partition_log.synced_offset if self.synced_only else partition_log.written_offset
        self._written_waits: list[Wait] = []
        self._committed_waits: deque[Wait] = deque()
        self.fetch_waiters: dict[FetchWaiter, None] = {}
        self.closed = False  # it went away: it is hosted no more
        partition_log.listener = self

    # -- appending

    def wait_written(self, end_offset: int, who: Settled, part: Any) -> None:
        """Settle `who` once everything below `end_offset` is in the file."""
        self._written_waits.append((end_offset, who, part))

    def wait_committed(self, end_offset: int, who: Settled, part: Any) -> None:
        """Settle `who` once the high watermark has reached `end_offset`."""
        waits = self._committed_waits
        if end_offset <= self.high_watermark:
            who.settled(part, ErrorCode.NONE)
        elif not waits or waits[-1][0] <= end_offset:
            waits.append((end_offset, who, part))
        else:  # a duplicate of an earlier batch: they stand in the order of their offsets
            waits.insert(bisect_right(waits, end_offset, key=_end_offset), (end_offset, who, part))

    # -- what a coordinator's shard needs of its partition (`core.coordinators.shard.ShardLog`)

    @property
    def end_offset(self) -> int:
        return self.log.end_offset

    @property
    def committed_offset(self) -> int:
        return self.high_watermark

    def append(self, batch: bytes) -> int:
        """Append a batch of our own; returns its base offset. Raises KafkaError when the log refuses it."""
        result = self.log.append(batch, self.leader_epoch, internal=True)
        if isinstance(result, Refusal):
            raise KafkaError(result.code, result.message)
        return result.base_offset if isinstance(result, Duplicate) else result

    def when_committed(self, end_offset: int, then: Callable[[ErrorCode], None]) -> None:
        """Call `then` with NONE once all below `end_offset` is committed, or with why it never will be."""
        self.wait_committed(end_offset, Callback(then, NEVER_MS), None)

    def batches(self) -> Iterator[bytes]:
        """Every committed batch, oldest first."""
        return self.log.batches(self.log.start_offset, self.high_watermark)

    # -- the log's calls (`core.log.writer`)

    def on_written(self) -> None:
        written = self.log.written_offset
        waits = self._written_waits
        if waits:
            self._written_waits = [wait for wait in waits if wait[0] > written]
            self._settle([wait for wait in waits if wait[0] <= written], ErrorCode.NONE)
        if not self.synced_only:
            self._advance(written)

    def on_synced(self) -> None:
        if self.synced_only:
            self._advance(self.log.synced_offset)

    def on_failed(self, error: ErrorCode) -> None:
        """What was cut off or can no longer be promised fails; what was answered or still stands is kept."""
        stands = -1 if self.log.offline else self.log.end_offset
        waits = [*self._written_waits, *self._committed_waits]
        self._written_waits = [wait for wait in self._written_waits if wait[0] <= stands]
        self._committed_waits = deque(wait for wait in self._committed_waits if wait[0] <= stands)
        self._settle([wait for wait in waits if wait[0] > stands], error)
        self._tell_fetchers()

    @property
    def waiting(self) -> bool:
        """Somebody waits for records of this partition to be written or committed."""
        return bool(self._written_waits or self._committed_waits)

    def expire(self, now_ms: int) -> None:
        """Answers whose time is up leave with REQUEST_TIMED_OUT: their batches stay appended."""
        if not self.waiting:
            return
        waits = [*self._written_waits, *self._committed_waits]
        late = [wait for wait in waits if wait[1].deadline_ms <= now_ms]
        if late:
            self._written_waits = [wait for wait in self._written_waits if wait[1].deadline_ms > now_ms]
            self._committed_waits = deque(wait for wait in self._committed_waits if wait[1].deadline_ms > now_ms)
            self._settle(late, ErrorCode.REQUEST_TIMED_OUT)

    def close(self, code: ErrorCode) -> None:
        """The partition goes away: everyone who waits is told `code`."""
        self.closed = True
        waits = [*self._written_waits, *self._committed_waits]
        self._written_waits = []
        self._committed_waits = deque()
        self._settle(waits, code)
        self._tell_fetchers()

    def _advance(self, offset: int) -> None:
        if offset <= self.high_watermark:
            return
        self.high_watermark = offset
        waits = self._committed_waits
        while waits and waits[0][0] <= offset:
            _, who, part = waits.popleft()
            try:
                who.settled(part, ErrorCode.NONE)
            except Exception:
                log.exception(FAILED, self.topic, self.index)
        if self.fetch_waiters:
            self._tell_fetchers()

    def _settle(self, waits: list[Wait], code: ErrorCode) -> None:
        """Tell each; what one of them makes of it must stop neither the others nor the log's writer, who calls."""
        for _, who, part in waits:
            try:
                who.settled(part, code)
            except Exception:
                log.exception(FAILED, self.topic, self.index)

    def _tell_fetchers(self) -> None:
        for waiter in list(self.fetch_waiters):
            try:
                waiter.advanced(self)
            except Exception:
                log.exception(FAILED, self.topic, self.index)


def _end_offset(wait: Wait) -> int:
    return wait[0]
