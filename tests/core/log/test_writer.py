"""When and where gathers are written; failed writes; stalled disks."""

from __future__ import annotations

import errno

import pytest

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.options import MIB
from moldau.core.log.config import PAGE_CACHE, DirectoryConfig, LogConfig
from moldau.core.log.partition_log import PartitionLog
from tests.support.log_batches import make_batch
from tests.support.log_rig import Heard, Rig, append, stored

LAZY = LogConfig(durability=PAGE_CACHE)
FULL = OSError(errno.ENOSPC, "full")


def big(log: PartitionLog, size: int) -> int:
    return append(log, [b"x" * size])


def test_one_write_a_turn_and_partition() -> None:
    rig = Rig()
    logs = [rig.log("orders", n, LAZY) for n in range(3)]
    for log in logs:
        for _ in range(5):
            append(log, [b"v"])
    rig.turn()
    assert rig.files.calls["writev"] == 3
    assert rig.directory.writer.writes == 3
    assert all(log.written_offset == 5 for log in logs)
    assert rig.directory.writer.bytes_written == 15 * len(make_batch([b"v"]))


def test_listeners_hear_of_writes_and_syncs() -> None:
    rig = Rig()
    heard = Heard(rig.log())
    append(heard.log, [b"v"])
    append(heard.log, [b"v"])
    rig.turn()
    assert heard.calls == [("written", 2)]
    rig.settle()
    assert heard.calls == [("written", 2), ("synced", 2)]


def test_much_is_written_by_the_worker_in_order() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(max_message_bytes=MIB))
    append(log, [b"first"])
    rig.turn()
    assert log.written_offset == 1
    rig.eager = False
    big(log, 300_000)
    rig.turn()
    assert (log.written_offset, log.end_offset) == (1, 2)
    append(log, [b"behind"])  # small, but it has to wait for its turn
    rig.turn()
    rig.turn()
    assert (log.written_offset, log.end_offset) == (1, 3)
    assert len(rig.write.waiting) == 1
    rig.write.run(1)
    assert log.written_offset == 2
    rig.turn()
    assert log.written_offset == 3
    rig.settle()
    assert [len(batch) > 1000 for batch in stored(log)] == [False, True, False]


def test_one_large_write_does_not_take_the_small_ones_along() -> None:
    rig = Rig()
    small, large = rig.log("small", config=LAZY), rig.log("large", config=LAZY)
    append(small, [b"v"])
    append(large, [b"v"])
    rig.settle()
    rig.eager = False
    append(small, [b"v"])
    big(large, 300_000)
    rig.turn()
    assert (small.written_offset, large.written_offset) == (2, 1)


def test_files_are_made_by_the_worker() -> None:
    rig = Rig()
    rig.eager = False
    log = rig.log(config=LogConfig(segment_bytes=300, durability=PAGE_CACHE))
    append(log, [b"makes a directory"])
    rig.turn()
    assert log.written_offset == 0
    rig.write.run()
    append(log, [b"is written on the loop"])
    rig.turn()
    assert log.written_offset == 2
    append(log, [b"x" * 100])
    rig.turn()
    assert (log.written_offset, len(log.segments)) == (2, 2)
    rig.write.run()
    append(log, [b"on the loop again"])
    rig.turn()
    assert log.written_offset == 4


def test_while_a_sync_is_slow_the_loop_does_not_write() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"])
    rig.turn()
    rig.eager = False
    append(log, [b"v"])
    rig.clock.advance(50)
    rig.turn()
    assert log.written_offset == 2
    append(log, [b"v"])
    rig.clock.advance(1)
    rig.turn()
    assert log.written_offset == 2
    assert len(rig.write.waiting) == 1
    rig.write.run()
    assert log.written_offset == 3
    assert log.synced_offset == 0


def test_a_failed_write_fails_its_own_batches_only() -> None:
    rig = Rig()
    log, other = rig.log("orders"), rig.log("bills")
    heard, untouched = Heard(log), Heard(other)
    append(log, [b"answered"])
    rig.turn()
    append(log, [b"lost"])
    append(other, [b"kept"])
    rig.files.fail("writev", FULL)
    rig.turn()
    assert heard.calls == [("written", 1), ("KAFKA_STORAGE_ERROR", 1)]
    assert untouched.calls == [("written", 1)]
    assert rig.directory.writer.write_failures == 1
    assert not rig.directory.offline
    rig.settle()
    assert heard.calls[-1] == ("synced", 1)
    assert len(stored(log)) == 1
    append(log, [b"space again"])
    rig.settle()
    assert log.synced_offset == 2


def test_what_was_gathered_behind_a_failed_write_fails_too() -> None:
    rig = Rig()
    rig.eager = False
    log = rig.log(config=LogConfig(max_message_bytes=MIB))
    heard = Heard(log)
    big(log, 300_000)
    rig.turn()
    append(log, [b"behind"])
    rig.turn()
    rig.files.fail("writev", FULL)
    rig.write.run()
    assert heard.calls == [("KAFKA_STORAGE_ERROR", 0)]
    assert (log.end_offset, log.gathered) == (0, 0)
    rig.settle()
    assert append(log, [b"again"]) == 0
    rig.settle()
    assert log.synced_offset == 1


@pytest.mark.parametrize("on_worker", [False, True])
def test_a_file_that_cannot_be_cut_back_takes_the_directory_offline(on_worker: bool) -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(max_message_bytes=MIB))
    heard, other = Heard(log), Heard(rig.log("bills"))
    big(log, 300_000 if on_worker else 10)
    rig.files.fail("writev", FULL)
    rig.files.fail("truncate", OSError(errno.EIO, "broken"))
    rig.settle()
    assert rig.directory.offline
    assert [call[0] for call in heard.calls + other.calls] == ["KAFKA_STORAGE_ERROR"] * 2
    assert log.append(make_batch(), 0) == Refusal(ErrorCode.KAFKA_STORAGE_ERROR)


def test_a_stalled_disk_is_refused_more() -> None:
    rig = Rig(DirectoryConfig(pending_bytes_max=2 * MIB))
    rig.eager = False
    log, other = rig.log(config=LogConfig(max_message_bytes=MIB)), rig.log("bills")
    outcomes = []
    for _ in range(10):
        outcomes.append(log.append(make_batch([b"x" * 300_000]), 0))
        rig.turn()
    taken = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert 6 <= len(taken) <= 8
    stalled = other.append(make_batch(), 0)
    assert isinstance(stalled, Refusal)
    assert stalled.code == ErrorCode.REQUEST_TIMED_OUT
    rig.settle()
    assert other.append(make_batch(), 0) == 0
    assert log.written_offset == len(taken)


def test_many_small_batches_behind_a_stalled_write_are_bounded_too() -> None:
    rig = Rig(DirectoryConfig(pending_bytes_max=MIB, inline_write_bytes=0))
    rig.eager = False
    log = rig.log()
    append(log, [b"v"])
    rig.turn()
    taken = 0
    for _ in range(30):
        for _ in range(10):
            taken += isinstance(log.append(make_batch([b"x" * 10_000]), 0), int)
        rig.turn()
    assert MIB < taken * 10_000 < MIB + 200_000
    rig.settle()
    assert log.written_offset == taken + 1


def test_a_saturated_disk_slows_writes_down() -> None:
    rig = Rig(DirectoryConfig(unsynced_bytes_max=MIB))
    log = rig.log(config=LogConfig(max_message_bytes=MIB))
    for _ in range(10):
        big(log, 200_000)
        rig.turn()
    written = log.written_offset
    assert 5 <= written <= 7
    assert log.held
    rig.sync.run(1)
    assert not log.held
    rig.turn()
    rig.write.run()
    assert log.written_offset == 10
    rig.settle()
    assert log.synced_offset == 10


def test_writes_wait_for_a_checkpoint_before_a_crash_would_cost_too_much() -> None:
    rig = Rig(DirectoryConfig(checkpoint_bytes=100_000, scan_bytes_max=MIB), LAZY)
    log = rig.log()
    for _ in range(20):
        big(log, 100_000)
        rig.turn()
        rig.write.run()
    assert 8 <= log.written_offset <= 10
    assert log.held
    rig.settle()
    assert log.written_offset == 20
    assert not log.held


def test_page_cache_logs_are_not_slowed_down_by_others_syncs() -> None:
    rig = Rig(DirectoryConfig(unsynced_bytes_max=MIB))
    durable, lazy = rig.log("durable", config=LogConfig(max_message_bytes=2 * MIB)), rig.log("lazy", config=LAZY)
    big(durable, MIB)
    rig.turn()
    rig.write.run()
    big(durable, 1000)
    append(lazy, [b"v"])
    rig.turn()
    assert (durable.written_offset, lazy.written_offset) == (1, 1)


def test_an_offline_writer_drops_what_it_gets() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"])
    rig.directory.fail("the disk is gone")
    rig.settle()
    assert log.written_offset == 0
    assert rig.directory.writer.idle


def test_a_log_that_is_deleted_while_the_worker_writes() -> None:
    rig = Rig()
    rig.eager = False
    log = rig.log(config=LogConfig(max_message_bytes=MIB))
    big(log, 300_000)
    rig.turn()
    rig.directory.delete_log("orders", 0)
    rig.settle()
    assert rig.disk.list("/data") == [".lock"]
    assert [path for path in rig.disk.open_handles() if "orders" in path] == []
