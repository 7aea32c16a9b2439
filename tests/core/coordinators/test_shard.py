"""Decisions, and the log that tests use in the place of a partition: it keeps the promises of `ShardLog`."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode, KafkaError
from moldau.core.base.pending import Pending
from moldau.core.coordinators import batches
from moldau.core.coordinators.shard import Decision, ShardLog, StoredRecord
from tests.support.memory_shard_log import MemoryShardLog

BATCH = batches.build([StoredRecord(b"k", b"v"), StoredRecord(b"k", None)], 1)


def test_replies_are_kept_in_order() -> None:
    out = Decision()
    waiters: list[Pending[int | ErrorCode]] = [Pending(), Pending()]
    out.reply(waiters[0], 1)
    out.reply(waiters[1], ErrorCode.NOT_COORDINATOR)
    assert out.replies == [(waiters[0], 1), (waiters[1], ErrorCode.NOT_COORDINATOR)]
    assert (out.records, out.after_commit) == ([], False)


def test_the_log_of_tests_is_one() -> None:
    log: ShardLog = MemoryShardLog()
    assert (log.append(BATCH), log.append(BATCH), log.end_offset, log.committed_offset) == (0, 2, 4, 4)
    assert list(log.batches()) == [BATCH, BATCH]


def test_waits_hear_once_of_a_commit_or_a_loss() -> None:
    log = MemoryShardLog(commits_by_itself=False)
    heard: list[tuple[int, ErrorCode]] = []
    for end_offset in (2, 4):
        log.append(BATCH)
        log.when_committed(end_offset, lambda error, end_offset=end_offset: heard.append((end_offset, error)))  # type: ignore[misc]
    log.commit(2)
    log.lose()
    log.commit()
    assert heard == [(2, ErrorCode.NONE), (4, ErrorCode.KAFKA_STORAGE_ERROR)]
    assert (log.end_offset, list(log.batches())) == (2, [BATCH])
    log.when_committed(2, lambda error: heard.append((2, error)))
    assert heard[-1] == (2, ErrorCode.NONE)


def test_a_log_can_refuse() -> None:
    log = MemoryShardLog()
    log.refuses = ErrorCode.KAFKA_STORAGE_ERROR
    with pytest.raises(KafkaError):
        log.append(BATCH)
