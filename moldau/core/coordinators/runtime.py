"""Runs the shards of one coordinator on their log partitions.

    decide -> append -> replay at append -> answer at commit

A shard that cannot append, or whose appended records are lost, is thrown away and loaded again from its log: what
it had replayed may not be there. Its waiters are told to find their coordinator again. Loading goes in slices, one a
turn of the loop, so that a long log does not stop it. Time comes from outside (`tick`), and the outside drains its
sockets first when a tick came late: a heartbeat that has arrived must count.

What never lives here: any rule of a particular coordinator, threads, the clock's implementation.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from moldau.core.base.clock import Clock
from moldau.core.base.errors import ErrorCode, KafkaError, MoldauError
from moldau.core.base.pending import Pending
from moldau.core.coordinators.batches import build
from moldau.core.coordinators.shard import Decision, Moment, Shard, ShardLog

log = logging.getLogger("moldau.groups")

S = TypeVar("S", bound=Shard)

LOAD_SLICE_BYTES = 64 * 1024
LOAD_RETRY_MS = 1000

# What clients are told when the log cannot take or keep a record. The rest of the codes travels as it is.
APPEND_ERRORS = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
}


@dataclass(slots=True)
class _Slot(Generic[S]):
    """One partition we lead: its log, and its shard once that is loaded."""

    index: int
    log: ShardLog
    shard: S | None = None  # None while loading
    loading: S | None = None
    batches: Iterator[bytes] | None = None  # what is left to replay; None before loading has begun
    retry_at_ms: int | None = None  # when to load again: 0 for the next tick, later when loading itself failed
    postponed: list[Callable[[S, Moment], Decision]] = field(default_factory=list)  # to decide once loaded
    records: int = 0
    began_ms: int = 0


@dataclass(slots=True)
class _Wait:
    """Answers that leave when the log has committed up to `end_offset`."""

    slot: _Slot[Any]
    end_offset: int
    deadline_ms: int
    replies: list[tuple[Pending[Any], Any]]
    done: bool = False


class Runtime(Generic[S]):
    """The shards this broker coordinates."""

    def __init__(
        self,
        name: str,
        make_shard: Callable[[], S],
        clock: Clock,
        call_soon: Callable[[Callable[[], None]], object],
        commit_timeout_ms: int,
    ) -> None:
        self._name = name
        self._make_shard = make_shard
        self._clock = clock
        self._call_soon = call_soon
        self._commit_timeout_ms = commit_timeout_ms
        self._turn_is_due = False
        self._slots: dict[int, _Slot[S]] = {}
        self._waits: deque[_Wait] = deque()  # in the order of their deadlines

    # Shards

    def lead(self, index: int, log: ShardLog) -> None:
        """This broker leads partition `index` now: load its shard from `log`. Small logs are loaded at once."""
        self.lose(index)
        slot = self._slots[index] = _Slot(index, log)
        self._settle(slot)

    def lose(self, index: int) -> None:
        """This broker does not lead partition `index` any more."""
        slot = self._slots.pop(index, None)
        if slot is not None:
            self._unload(slot)

    def indexes(self) -> list[int]:
        """The partitions whose shards are here, loaded or not."""
        return list(self._slots)

    def state(self, index: int) -> ErrorCode:
        """NONE when the shard serves, else what its clients are told."""
        slot = self._slots.get(index)
        if slot is None or slot.retry_at_ms:
            return ErrorCode.NOT_COORDINATOR
        return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS if slot.shard is None else ErrorCode.NONE

    def run(self, index: int, decide: Callable[[S, Moment], Decision]) -> ErrorCode:
        """Let a shard decide, and carry it out. Anything but NONE: nothing was decided.

        Whoever is to be answered hears it through their `Pending`, also when the log fails later.
        """
        slot = self._slots.get(index)
        if slot is None or slot.shard is None:
            return self.state(index)
        now = self._now()
        self._carry_out(slot, decide(slot.shard, now), now)
        return ErrorCode.NONE

    def run_everywhere(self, decide: Callable[[S, Moment], Decision]) -> None:
        """Let every shard decide; those that are being loaded do so afterwards."""
        for slot in list(self._slots.values()):
            if slot.shard is None:
                slot.postponed.append(decide)
            else:
                now = self._now()
                self._carry_out(slot, decide(slot.shard, now), now)

    # Time

    def tick(self, now_ms: int) -> None:
        """Carry out what is due at `now_ms` (monotonic): load on, expire waits, expire timers."""
        now = Moment(now_ms, self._clock.wall_ms())
        while self._waits and (self._waits[0].done or self._waits[0].deadline_ms <= now_ms):
            self._finish(self._waits.popleft(), ErrorCode.REQUEST_TIMED_OUT)
        for slot in list(self._slots.values()):
            if slot.retry_at_ms is not None and slot.retry_at_ms <= now_ms:
                slot.retry_at_ms = None
                self._settle(slot)
            while slot.shard is not None and (decision := slot.shard.expire(now)) is not None:
                self._carry_out(slot, decision, now)

    def next_deadline_ms(self) -> int | None:
        """When `tick` is wanted next."""
        deadlines = [self._waits[0].deadline_ms] if self._waits else []
        for slot in self._slots.values():
            if slot.retry_at_ms is not None:
                deadlines.append(slot.retry_at_ms)
            elif slot.shard is not None and (deadline_ms := slot.shard.next_deadline_ms()) is not None:
                deadlines.append(deadline_ms)
        return min(deadlines, default=None)

    def _now(self) -> Moment:
        return Moment(self._clock.monotonic_ms(), self._clock.wall_ms())

    # Loading

    def _settle(self, slot: _Slot[S]) -> None:
        """Begin to load once everything in the log is committed."""
        self._drop_lost_waits(slot)

        def settled(error: ErrorCode) -> None:
            if self._slots.get(slot.index) is not slot:
                return
            if error is ErrorCode.NONE:
                self._load(slot)
            else:
                self._retry(slot, error.name)

        if slot.log.committed_offset >= slot.log.end_offset:
            settled(ErrorCode.NONE)
        else:
            slot.log.when_committed(slot.log.end_offset, settled)

    def _load(self, slot: _Slot[S]) -> None:
        """Replay one slice of the log; the rest follows in later turns of the loop."""
        try:
            self._load_slice(slot)
        except (MoldauError, OSError) as error:
            self._retry(slot, str(error))
        if slot.loading is not None and not self._turn_is_due:
            self._turn_is_due = True
            self._call_soon(self._load_turn)

    def _load_turn(self) -> None:
        self._turn_is_due = False
        slot = next((slot for slot in self._slots.values() if slot.loading is not None), None)
        if slot is not None:
            self._load(slot)

    def _load_slice(self, slot: _Slot[S]) -> None:
        if slot.loading is None or slot.batches is None:
            slot.loading, slot.batches = self._make_shard(), slot.log.batches()
            slot.records, slot.began_ms = 0, self._clock.monotonic_ms()
        shard, left = slot.loading, LOAD_SLICE_BYTES
        for batch in slot.batches:
            slot.records += shard.load(batch)
            left -= len(batch)
            if left <= 0:
                return
        slot.loading, slot.batches, slot.shard = None, None, shard
        now = self._now()
        if slot.records:
            spent_ms = now.monotonic_ms - slot.began_ms
            log.info("%s %d loaded: %d records in %d ms", self._name, slot.index, slot.records, spent_ms)
        self._carry_out(slot, shard.loaded(now), now)
        postponed, slot.postponed = slot.postponed, []
        for decide in postponed:
            self.run(slot.index, decide)

    def _retry(self, slot: _Slot[S], reason: str) -> None:
        log.error("%s %d cannot be loaded, trying again: %s", self._name, slot.index, reason)
        slot.loading, slot.batches = None, None
        slot.retry_at_ms = self._clock.monotonic_ms() + LOAD_RETRY_MS

    def _drop_lost_waits(self, slot: _Slot[S]) -> None:
        """Whatever waits beyond the end of the log waits for something else than what will get those offsets."""
        for wait in self._waits:
            if wait.slot is slot and wait.end_offset > slot.log.end_offset:
                self._finish(wait, ErrorCode.KAFKA_STORAGE_ERROR)

    def _unload(self, slot: _Slot[S]) -> None:
        """Throw a shard away; everyone who waits in it has to find the coordinator again."""
        shard, slot.shard = slot.shard, None
        slot.loading, slot.batches = None, None
        if shard is not None:
            for waiter in shard.unload():
                waiter.complete(ErrorCode.NOT_COORDINATOR)

    # Decisions

    def _carry_out(self, slot: _Slot[S], decision: Decision, now: Moment) -> None:
        if decision.records:
            assert slot.shard is not None
            try:
                slot.log.append(build(decision.records, now.wall_ms))
            except KafkaError as error:
                self._fail(slot, error.code)
                self._answer_all(decision.replies, error.code)
                return
            for record in decision.records:
                slot.shard.replay(record)
        elif not decision.after_commit:
            self._answer_all(decision.replies, ErrorCode.NONE)
            return
        end_offset = slot.log.end_offset
        if slot.log.committed_offset >= end_offset:
            self._answer_all(decision.replies, ErrorCode.NONE)
            return
        wait = _Wait(slot, end_offset, now.monotonic_ms + self._commit_timeout_ms, decision.replies)
        self._waits.append(wait)
        slot.log.when_committed(end_offset, lambda error: self._committed(wait, error))

    def _committed(self, wait: _Wait, error: ErrorCode) -> None:
        slot = wait.slot
        if error is not ErrorCode.NONE and self._slots.get(slot.index) is slot:
            self._fail(slot, error)
        self._finish(wait, error)
        while self._waits and self._waits[0].done:
            self._waits.popleft()

    def _fail(self, slot: _Slot[S], error: ErrorCode) -> None:
        """The log lost what the shard has replayed: start over, at the next tick, when the log has put itself right."""
        if slot.shard is None:
            return  # an earlier failure has seen to it
        log.warning("%s %d: the log failed (%s), loading again", self._name, slot.index, error.name)
        slot.retry_at_ms = 0
        self._unload(slot)

    def _finish(self, wait: _Wait, error: ErrorCode) -> None:
        if not wait.done:
            wait.done = True
            replies, wait.replies = wait.replies, []
            self._answer_all(replies, error)

    @staticmethod
    def _answer_all(replies: list[tuple[Pending[Any], Any]], error: ErrorCode) -> None:
        refusal = APPEND_ERRORS.get(error, error)
        for waiter, answer in replies:
            waiter.complete(answer if error is ErrorCode.NONE else refusal)
