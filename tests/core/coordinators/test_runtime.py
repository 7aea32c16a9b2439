"""Shards on their logs: load, answer at commit, fail and load again. With a shard that only counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moldau.core.base.clock import ManualClock
from moldau.core.base.errors import ErrorCode, StorageError
from moldau.core.base.pending import Pending
from moldau.core.coordinators import batches
from moldau.core.coordinators.runtime import APPEND_ERRORS, LOAD_RETRY_MS, LOAD_SLICE_BYTES, Runtime
from moldau.core.coordinators.shard import Decision, Moment, StoredRecord
from tests.support.memory_shard_log import MemoryShardLog

NONE, LOADING, NOT_HERE = ErrorCode.NONE, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR
TIMEOUT_MS = 5000


class Counter:
    """Adds up the values it replays. Its timer, if set, adds 100."""

    def __init__(self) -> None:
        self.total = 0
        self.deadline_ms: int | None = None
        self.waiters: list[Pending[Any]] = []

    def add(self, amount: int, waiter: Pending[Any]) -> Decision:
        out = Decision([StoredRecord(b"add", str(amount).encode())])
        out.reply(waiter, self.total + amount)
        return out

    def read(self, waiter: Pending[Any], *, after_commit: bool = True) -> Decision:
        out = Decision(after_commit=after_commit)
        out.reply(waiter, self.total)
        return out

    def park(self, waiter: Pending[Any]) -> Decision:
        self.waiters.append(waiter)
        return Decision()

    def load(self, batch: bytes) -> int:
        pairs = batches.read(batch).pairs
        for key, value in pairs:
            self.replay(StoredRecord(key, value))
        return len(pairs)

    def replay(self, record: StoredRecord) -> None:
        self.total += int(record.value or b"0")

    def loaded(self, now: Moment) -> Decision:
        return Decision()

    def next_deadline_ms(self) -> int | None:
        return self.deadline_ms

    def expire(self, now: Moment) -> Decision | None:
        if self.deadline_ms is None or self.deadline_ms > now.monotonic_ms:
            return None
        self.deadline_ms = None
        return self.add(100, Pending())

    def unload(self) -> list[Pending[Any]]:
        return self.waiters


class Bench:
    """A runtime with one counter on a log, and turns of a loop that a test lets pass."""

    def __init__(self, *, commits_by_itself: bool = True) -> None:
        self.clock = ManualClock()
        self.turns: list[Callable[[], None]] = []
        self.log = MemoryShardLog(commits_by_itself=commits_by_itself)
        self.runtime = Runtime("counter", Counter, self.clock, self.turns.append, TIMEOUT_MS)

    def lead(self) -> None:
        self.runtime.lead(0, self.log)

    def add(self, amount: int) -> Pending[Any]:
        waiter: Pending[Any] = Pending()
        assert self.runtime.run(0, lambda shard, _now: shard.add(amount, waiter)) is NONE
        return waiter

    def read(self, *, after_commit: bool = True) -> Pending[Any]:
        waiter: Pending[Any] = Pending()
        assert self.runtime.run(0, lambda shard, _now: shard.read(waiter, after_commit=after_commit)) is NONE
        return waiter

    def park(self) -> Pending[Any]:
        waiter: Pending[Any] = Pending()
        assert self.runtime.run(0, lambda shard, _now: shard.park(waiter)) is NONE
        return waiter

    def wait(self, ms: int) -> None:
        self.clock.advance(ms)
        self.runtime.tick(self.clock.monotonic_ms())


def test_a_partition_nobody_leads_is_elsewhere() -> None:
    bench = Bench()
    assert bench.runtime.run(0, lambda shard, _now: Decision()) is NOT_HERE
    bench.lead()
    assert (bench.runtime.state(0), bench.runtime.indexes()) == (NONE, [0])
    parked = bench.park()
    bench.runtime.lose(0)
    assert (parked.value, bench.runtime.state(0)) == (NOT_HERE, NOT_HERE)


def test_answers_wait_for_the_commit_and_the_next_request_does_not() -> None:
    bench = Bench(commits_by_itself=False)
    bench.lead()
    first, second = bench.add(1), bench.add(2)
    now, later = bench.read(after_commit=False), bench.read()
    assert now.value == 3
    assert [waiter.done for waiter in (first, second, later)] == [False, False, False]
    bench.log.commit(1)
    assert (first.value, second.done, later.done) == (1, False, False)
    bench.log.commit()
    assert (second.value, later.value) == (3, 3)
    assert bench.read().value == 3


def test_a_restart_brings_back_what_was_committed() -> None:
    bench = Bench()
    bench.lead()
    for amount in range(5):
        bench.add(amount)
    bench.lead()
    assert bench.read().value == 10


def test_a_long_log_is_loaded_in_turns_of_the_loop() -> None:
    bench = Bench()
    record = StoredRecord(b"x" * LOAD_SLICE_BYTES, b"1")
    for _ in range(3):
        bench.log.append(batches.build([record], 1))
    bench.lead()
    bench.runtime.run_everywhere(lambda shard, _now: shard.add(10, Pending()))
    for _ in range(3):
        assert bench.runtime.state(0) is LOADING
        bench.turns.pop()()
    assert (bench.runtime.state(0), bench.turns) == (NONE, [])
    assert bench.read().value == 13  # what was to be decided everywhere was, once it could be


def test_loading_waits_until_all_that_is_stored_is_committed() -> None:
    bench = Bench(commits_by_itself=False)
    bench.log.append(batches.build([StoredRecord(b"add", b"7")], 1))
    bench.lead()
    assert bench.runtime.state(0) is LOADING
    bench.log.commit()
    assert bench.read().value == 7


@pytest.mark.parametrize(
    "code", [ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.INVALID_RECORD]
)
def test_a_refused_append_starts_the_shard_over(code: ErrorCode) -> None:
    bench = Bench()
    bench.lead()
    bench.add(1)
    parked = bench.park()
    bench.log.refuses = code
    assert bench.add(2).value is APPEND_ERRORS.get(code, code)
    assert parked.value is NOT_HERE
    assert bench.runtime.state(0) is LOADING
    bench.log.refuses = None
    bench.wait(0)
    assert bench.read().value == 1


def test_a_lost_append_starts_the_shard_over() -> None:
    bench = Bench(commits_by_itself=False)
    bench.lead()
    kept = bench.add(1)
    bench.log.commit()
    lost, read = bench.add(2), bench.read()
    bench.log.lose()
    assert (kept.value, lost.value, read.value) == (1, NOT_HERE, NOT_HERE)
    bench.wait(0)
    again = bench.add(5)
    bench.log.commit()
    assert again.value == 6


def test_waits_of_a_log_that_forgot_to_tell_are_refused() -> None:
    bench = Bench(commits_by_itself=False)
    bench.lead()
    lost, told = bench.add(1), bench.add(2)
    waits, bench.log._waits = bench.log._waits[:1], bench.log._waits[1:]
    bench.log.lose()
    assert (lost.done, told.value) == (False, NOT_HERE)
    bench.wait(0)
    assert lost.value is NOT_HERE
    again = bench.add(9)
    bench.log._waits += waits
    bench.log.commit()
    assert (again.value, lost.value) == (9, NOT_HERE)


def test_an_answer_does_not_wait_for_ever() -> None:
    bench = Bench(commits_by_itself=False)
    bench.lead()
    waiting = bench.add(1)
    assert bench.runtime.next_deadline_ms() == TIMEOUT_MS
    bench.wait(TIMEOUT_MS - 1)
    assert not waiting.done
    bench.wait(1)
    assert waiting.value is ErrorCode.COORDINATOR_NOT_AVAILABLE
    bench.log.commit()
    assert (waiting.value, bench.read().value) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, 1)


def test_a_log_that_cannot_be_read_is_tried_again() -> None:
    bench = Bench()
    bench.log.append(batches.build([StoredRecord(b"add", b"7")], 1))
    read = bench.log.batches

    def fail() -> Iterator[bytes]:
        raise StorageError("no")

    bench.log.batches = fail  # type: ignore[method-assign]
    bench.lead()
    assert bench.runtime.state(0) is NOT_HERE
    assert bench.runtime.next_deadline_ms() == LOAD_RETRY_MS
    bench.wait(LOAD_RETRY_MS - 1)
    bench.log.batches = read  # type: ignore[method-assign]
    assert bench.runtime.state(0) is NOT_HERE
    bench.wait(1)
    assert bench.read().value == 7


def test_a_log_that_fails_before_it_is_loaded_is_tried_again() -> None:
    bench = Bench(commits_by_itself=False)
    bench.log.append(batches.build([StoredRecord(b"add", b"7")], 1))
    bench.lead()
    bench.log.lose()
    assert bench.runtime.state(0) is NOT_HERE
    bench.wait(LOAD_RETRY_MS)
    assert bench.read().value == 0


def test_what_is_due_is_carried_out() -> None:
    bench = Bench()
    bench.lead()

    def arm(shard: Counter, now: Moment) -> Decision:
        shard.deadline_ms = now.monotonic_ms + 50
        return Decision()

    bench.runtime.run(0, arm)
    assert bench.runtime.next_deadline_ms() == 50
    bench.wait(49)
    assert bench.read().value == 0
    bench.wait(1)
    assert bench.read().value == 100
    assert bench.runtime.next_deadline_ms() is None


def test_a_partition_that_was_lost_and_led_again_is_another() -> None:
    bench = Bench(commits_by_itself=False)
    bench.lead()
    waiting = bench.add(1)
    bench.runtime.lose(0)
    bench.log.lose(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert waiting.value is NOT_HERE
    bench.log = MemoryShardLog()
    bench.lead()
    assert bench.add(5).value == 5
