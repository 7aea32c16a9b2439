"""The high watermark, and who waits for it, over a log whose offsets the test moves."""

from __future__ import annotations

from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode, KafkaError, Refusal
from moldau.core.replication.partition import Partition


class Log:
    """A log that is nothing but its offsets."""

    topic = "orders"
    partition = 0
    topic_id = bytes(16)
    offline = False
    start_offset = 0

    def __init__(self, *, durable: bool) -> None:
        self.durable = durable
        self.end_offset = self.written_offset = self.synced_offset = 0
        self.listener: Any = None
        self.refuses: Refusal | None = None

    def append(self, _batch: bytes, _epoch: int, *, internal: bool) -> int | Refusal:
        assert internal
        if self.refuses is not None:
            return self.refuses
        self.end_offset += 1
        return self.end_offset - 1


class Fetcher:
    def __init__(self) -> None:
        self.calls = 0

    def advanced(self, partition: Any) -> None:
        self.calls += 1


def partition_over(log: Log) -> Partition:
    return Partition(log, 4, internal=False)  # type: ignore[arg-type]


def codes(partition: Partition, *ends: int) -> list[list[ErrorCode]]:
    """What each waiter for one of `ends` was told so far."""
    told: list[list[ErrorCode]] = []
    for end in ends:
        mine: list[ErrorCode] = []
        told.append(mine)
        partition.when_committed(end, mine.append)
    return told


def test_synced_the_watermark_follows_the_disk_not_the_write() -> None:
    log = Log(durable=True)
    partition = partition_over(log)
    fetcher = Fetcher()
    partition.fetch_waiters[fetcher] = None
    log.end_offset = log.written_offset = 5
    told = codes(partition, 5)
    partition.on_written()
    assert (partition.high_watermark, told, fetcher.calls) == (0, [[]], 0)
    log.synced_offset = 5
    partition.on_synced()
    assert (partition.high_watermark, told, fetcher.calls) == (5, [[ErrorCode.NONE]], 1)


def test_page_cache_the_watermark_follows_the_write() -> None:
    log = Log(durable=False)
    partition = partition_over(log)
    log.end_offset = 3
    told = codes(partition, 3)
    log.written_offset = 3
    partition.on_written()
    assert (partition.high_watermark, told) == (3, [[ErrorCode.NONE]])


def test_what_is_committed_already_does_not_wait() -> None:
    log = Log(durable=True)
    log.end_offset = log.written_offset = log.synced_offset = 7
    partition = partition_over(log)
    assert partition.high_watermark == 7
    assert codes(partition, 7) == [[ErrorCode.NONE]]


def test_the_watermark_never_moves_back() -> None:
    log = Log(durable=True)
    log.end_offset = log.written_offset = log.synced_offset = 7
    partition = partition_over(log)
    log.synced_offset = 5
    partition.on_synced()
    assert partition.high_watermark == 7


def test_a_failed_write_fails_what_was_cut_off_and_keeps_what_stands() -> None:
    log = Log(durable=True)
    partition = partition_over(log)
    log.end_offset = 9
    told = codes(partition, 4, 9)
    log.end_offset = log.written_offset = 4
    partition.on_failed(ErrorCode.KAFKA_STORAGE_ERROR)
    assert told == [[], [ErrorCode.KAFKA_STORAGE_ERROR]]
    log.synced_offset = 4
    partition.on_synced()
    assert told == [[ErrorCode.NONE], [ErrorCode.KAFKA_STORAGE_ERROR]]


def test_a_failed_sync_fails_everyone_who_waits() -> None:
    log = Log(durable=True)
    partition = partition_over(log)
    log.end_offset = log.written_offset = 9
    told = codes(partition, 4, 9)
    fetcher = Fetcher()
    partition.fetch_waiters[fetcher] = None
    log.offline = True
    partition.on_failed(ErrorCode.KAFKA_STORAGE_ERROR)
    assert told == [[ErrorCode.KAFKA_STORAGE_ERROR], [ErrorCode.KAFKA_STORAGE_ERROR]]
    assert fetcher.calls == 1


class Waiter:
    def __init__(self, deadline_ms: int) -> None:
        self.deadline_ms = deadline_ms
        self.told: list[tuple[Any, ErrorCode]] = []

    def settled(self, part: Any, code: ErrorCode) -> None:
        self.told.append((part, code))


def test_who_waits_too_long_is_told_and_the_rest_wait_on() -> None:
    log = Log(durable=True)
    log.end_offset = 9
    partition = partition_over(log)
    early, late, written = Waiter(100), Waiter(200), Waiter(100)
    partition.wait_committed(9, early, "early")
    partition.wait_committed(9, late, "late")
    partition.wait_written(9, written, "written")
    partition.expire(100)
    assert early.told == [("early", ErrorCode.REQUEST_TIMED_OUT)]
    assert written.told == [("written", ErrorCode.REQUEST_TIMED_OUT)]
    assert late.told == []
    log.written_offset = log.synced_offset = 9
    partition.on_synced()
    assert late.told == [("late", ErrorCode.NONE)]


def test_a_partition_that_goes_away_tells_everyone() -> None:
    log = Log(durable=True)
    log.end_offset = 2
    partition = partition_over(log)
    told = codes(partition, 2)
    partition.close(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    assert told == [[ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]]


def test_a_coordinators_append_is_refused_as_an_exception() -> None:
    log = Log(durable=True)
    partition = partition_over(log)
    assert partition.append(b"batch") == 0
    log.refuses = Refusal(ErrorCode.KAFKA_STORAGE_ERROR, "disk full")
    with pytest.raises(KafkaError, match="disk full"):
        partition.append(b"batch")


class Failing:
    """Somebody who waits and has a bug."""

    deadline_ms = 100

    def settled(self, part: Any, code: ErrorCode) -> None:
        raise RuntimeError("bug")

    def advanced(self, partition: Any) -> None:
        raise RuntimeError("bug")


def test_one_who_fails_does_not_keep_the_others_from_their_answers(caplog: pytest.LogCaptureFixture) -> None:
    log = Log(durable=True)
    log.end_offset = 9
    partition = partition_over(log)
    committed, written, expired, closed = (Waiter(200) for _ in range(4))
    fetcher = Fetcher()
    partition.fetch_waiters = {Failing(): None, fetcher: None}
    for end, who in ((3, Failing()), (3, committed), (9, expired)):
        partition.wait_committed(end, who, None)
    partition.wait_written(3, Failing(), None)
    partition.wait_written(3, written, None)
    log.written_offset = log.synced_offset = 3
    partition.on_written()
    partition.on_synced()
    assert [who.told for who in (written, committed)] == [[(None, ErrorCode.NONE)]] * 2
    assert fetcher.calls == 1
    partition.wait_committed(9, Failing(), None)
    partition.expire(200)
    assert expired.told == [(None, ErrorCode.REQUEST_TIMED_OUT)]
    partition.wait_committed(9, Failing(), None)
    partition.wait_committed(9, closed, None)
    partition.close(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert closed.told == [(None, ErrorCode.NOT_LEADER_OR_FOLLOWER)]
    assert "somebody who waited for orders-0 failed" in caplog.text


def test_who_waits_for_less_is_not_held_up_by_who_came_before() -> None:
    """The retry of an early batch comes after a late batch, and the late one fails."""
    log = Log(durable=True)
    log.end_offset = 9
    partition = partition_over(log)
    late, retry = Waiter(200), Waiter(200)
    partition.wait_committed(9, late, None)
    partition.wait_committed(4, retry, None)
    log.synced_offset = 4
    partition.on_synced()
    assert (retry.told, late.told) == ([(None, ErrorCode.NONE)], [])
    log.synced_offset = 9
    partition.on_synced()
    assert late.told == [(None, ErrorCode.NONE)]


def test_who_waits_inside_an_answer_to_another_waits_too() -> None:
    log = Log(durable=True)
    log.end_offset = 2
    partition = partition_over(log)
    told: list[ErrorCode] = []

    def again(_code: ErrorCode) -> None:
        log.end_offset = 3
        partition.when_committed(3, told.append)

    partition.when_committed(2, again)
    log.written_offset = log.synced_offset = 2
    partition.on_synced()
    assert told == []
    log.synced_offset = 3
    partition.on_synced()
    assert told == [ErrorCode.NONE]
