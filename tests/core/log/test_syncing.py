"""What a sync round covers, how it reaches the disk, and what follows when it fails."""

from __future__ import annotations

import errno

import pytest

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.log.config import PAGE_CACHE, DirectoryConfig, LogConfig
from moldau.core.log.syncing import GATHER_MAX, GATHER_MS, GATHER_TURNS, SyncPlan, filesystem_threshold, run_plan
from tests.support.log_batches import make_batch
from tests.support.log_rig import Heard, Rig, append, stored
from tests.support.memory_files import FaultyFiles, MemoryFiles

ONE_BY_ONE = DirectoryConfig(sync_method="fdatasync")


def test_a_round_covers_what_was_written_before_it_began() -> None:
    rig = Rig()
    log = rig.log()
    heard = Heard(log)
    append(log, [b"v"])
    rig.turn()
    append(log, [b"v"])
    append(log, [b"v"])
    rig.turn()
    assert len(rig.sync.waiting) == 1
    rig.sync.run(1)
    assert heard.calls[-1] == ("synced", 1)
    for _ in range(GATHER_TURNS + 1):
        rig.turn()
    rig.sync.run(1)
    assert heard.calls[-1] == ("synced", 3)
    assert rig.directory.writer.durable_rounds.rounds == 2
    assert rig.directory.writer.durable_rounds.idle


def test_after_a_small_round_the_next_waits_for_those_who_were_answered() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"])
    rig.turn()
    append(log, [b"v"])
    rig.turn()
    rig.sync.run(1)
    assert not rig.sync.waiting  # one was answered, and may come back any moment
    append(log, [b"v"])
    rig.turn()
    assert len(rig.sync.waiting) == 1
    rig.sync.run(1)
    assert log.synced_offset == 3


def test_nobody_waits_for_those_who_do_not_come_back() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"])
    rig.turn()
    append(log, [b"v"])
    rig.turn()
    rig.sync.run(1)
    rig.clock.advance(GATHER_MS + 1)
    rig.turn()
    assert len(rig.sync.waiting) == 1


def test_after_a_large_round_the_next_begins_at_once() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v" * (GATHER_MAX + 1)])
    rig.turn()
    append(log, [b"v"])
    rig.turn()
    rig.sync.run(1)
    assert len(rig.sync.waiting) == 1


def test_one_round_for_many_partitions() -> None:
    rig = Rig()
    logs = [rig.log("orders", n) for n in range(20)]
    for log in logs:
        append(log, [b"v"])
    rig.settle()
    rig.files.calls.clear()
    for log in logs:
        append(log, [b"v"])
    rig.turn()
    rig.sync.run(1)
    assert all(log.synced_offset == 2 for log in logs)
    assert rig.files.calls["sync_filesystem"] == 1
    assert "sync_data" not in rig.files.calls


def test_few_files_are_synced_one_by_one() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"])
    rig.settle()
    rig.files.calls.clear()
    append(log, [b"v"])
    rig.settle()
    assert rig.files.calls["sync_data"] == 1
    assert "sync_filesystem" not in rig.files.calls


@pytest.mark.parametrize(
    ("method", "reports", "many"), [("fdatasync", True, False), ("syncfs", True, True), ("auto", False, False)]
)
def test_methods(method: str, reports: bool, many: bool) -> None:
    files = MemoryFiles()
    files.filesystem_sync_reports_errors = lambda: reports  # type: ignore[method-assign]
    assert (filesystem_threshold(files, DirectoryConfig(sync_method=method)) < 5) == many


def test_everything_that_leads_to_a_record_survives_a_power_loss() -> None:
    rig = Rig(ONE_BY_ONE)
    log = rig.log(config=LogConfig(segment_bytes=300))
    for n in range(16):
        append(log, [b"x" * 50], 1 + min(n // 5, 2))
        rig.turn()
        rig.sync.run()
    assert log.synced_offset == 16
    rig.crash()
    log = rig.log()
    assert (log.end_offset, log.synced_offset) == (16, 16)
    assert len(stored(log)) == 16
    assert log.leader_epochs.entries == [(1, 0), (2, 5), (3, 10)]
    assert log.topic_id == bytes(range(16))


@pytest.mark.parametrize("call", ["sync_data", "sync_filesystem"])
def test_a_failed_sync_takes_the_directory_offline(call: str) -> None:
    rig = Rig(DirectoryConfig(sync_method="fdatasync" if call == "sync_data" else "syncfs"))
    log = rig.log()
    heard, other = Heard(log), Heard(rig.log("bills"))
    problems: list[str] = []
    rig.directory.on_offline = problems.append
    append(log, [b"v"])
    rig.turn()
    append(log, [b"v"])
    rig.turn()
    rig.files.fail(call, OSError(errno.EIO, "broken"))
    rig.sync.run()
    assert heard.calls == [("written", 1), ("written", 2), ("KAFKA_STORAGE_ERROR", 2)]
    assert other.calls == [("KAFKA_STORAGE_ERROR", 0)]
    assert log.synced_offset == 0
    assert log.offline
    assert log.append(make_batch(), 0) == Refusal(ErrorCode.KAFKA_STORAGE_ERROR)
    assert len(problems) == 1
    assert "broken" in problems[0]
    rig.settle()
    assert rig.files.calls[call] == 1  # a second sync would report success for data that is gone


def test_reads_go_on_while_the_directory_is_offline() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"])
    rig.settle()
    rig.directory.fail("broken")
    assert len(stored(log)) == 1


def test_page_cache_logs_are_synced_when_they_roll() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(segment_bytes=300, durability=PAGE_CACHE))
    synced = []
    for _ in range(6):
        append(log, [b"x" * 50])
        rig.settle()
        synced.append(log.synced_offset)
    # Batches 2 and 4 begin new segments.
    assert synced == [0, 0, 3, 3, 5, 5]


def test_a_long_sync_of_page_cache_logs_does_not_hold_up_the_others() -> None:
    rig = Rig()
    lazy = rig.log("lazy", config=LogConfig(durability=PAGE_CACHE, flush_messages=2))
    durable = rig.log("durable")
    append(lazy, [b"v", b"w"])
    rig.turn()
    assert len(rig.background.waiting) == 1
    append(durable, [b"v"])
    rig.turn()
    rig.sync.run()
    assert (durable.synced_offset, lazy.synced_offset) == (1, 0)


def test_the_age_of_a_round() -> None:
    rig = Rig()
    rounds = rig.directory.writer.durable_rounds
    rig.clock.advance(5)
    assert rounds.age_ms() == 0
    append(rig.log(), [b"v"])
    rig.turn()
    rig.clock.advance(7)
    assert rounds.age_ms() == 7
    assert rounds.unsynced_bytes > 0
    rig.settle()
    assert rounds.age_ms() == 0
    assert rounds.unsynced_bytes == 0


def test_a_file_that_cannot_be_opened_now_is_synced_later() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(segment_bytes=200))
    append(log, [b"x" * 50])
    rig.turn()
    rig.sync.run()
    append(log, [b"x" * 50])
    log.segments[0].close()
    log.unsynced[log.segments[0]] = None
    failing = OSError(errno.EMFILE, "too many open files")
    rig.files.before(
        "open_append", lambda path: path == log.segments[0].path() and rig.files.fail("open_append", failing)
    )
    rig.turn()
    assert not rig.sync.waiting
    assert not rig.directory.offline
    rig.files.heal()
    append(log, [b"x" * 50])
    rig.settle()
    assert log.synced_offset == 3


def test_a_log_that_was_cut_meanwhile_is_left_alone() -> None:
    rig = Rig()
    log = rig.log()
    for _ in range(3):
        append(log, [b"v"])
    rig.turn()
    log.truncate_to(1)
    synced = log.synced_offset
    rig.sync.run(1)
    assert log.synced_offset == synced <= 1


def test_a_plan_brings_its_files_to_the_disk() -> None:
    files = FaultyFiles(MemoryFiles())
    files.make_directory("/d")
    files.sync_directory("/")
    handle = files.open_append("/d/log")
    files.writev(handle, [b"x"])
    run_plan(files, SyncPlan([handle], ["/d"], [("/d/epochs", b"e")], None))
    files.inner.crash()
    assert files.read_file("/d/log") == b"x"
    assert files.read_file("/d/epochs") == b"e"
