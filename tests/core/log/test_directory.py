"""Opening, sharing out, failing and closing a log directory."""

from __future__ import annotations

import asyncio
import errno
import logging
from pathlib import Path

import pytest

from moldau.core.base.clock import SystemClock
from moldau.core.base.errors import ErrorCode, Refusal, StorageError
from moldau.core.base.files import OsFiles
from moldau.core.base.ids import ZERO_UUID
from moldau.core.base.workers import ThreadWorker
from moldau.core.log import names
from moldau.core.log.checkpoints import MetaProperties, decode_offsets
from moldau.core.log.config import PAGE_CACHE, DirectoryConfig, LogConfig
from moldau.core.log.directory import LogDirectory, Workers
from moldau.core.log.partition_log import PartitionLog
from tests.support.log_batches import Sender, make_batch
from tests.support.log_rig import ROOT, Heard, Rig, append, stored


def test_a_second_process_is_refused() -> None:
    rig = Rig()
    with pytest.raises(StorageError, match="in use by another process"):
        rig.open()


def test_a_directory_that_cannot_be_used() -> None:
    rig = Rig()
    rig.disk.kill()
    rig.files.fail("list", PermissionError(errno.EACCES, "no permission", ROOT))
    with pytest.raises(StorageError, match=r"cannot be used.*no permission"):
        rig.open()
    rig.open()  # the lock was given back


def test_whose_directory_it_is() -> None:
    rig = Rig()
    assert rig.directory.meta is None
    meta = MetaProperties("cluster", 4, ZERO_UUID)
    rig.directory.write_meta(meta)
    assert rig.directory.meta == meta
    assert rig.kill().meta == meta
    rig.disk.write_file(f"{ROOT}/{names.META_FILE}", b"version=9\n")
    rig.disk.kill()
    with pytest.raises(StorageError, match=r"meta\.properties is not usable"):
        rig.open()


def test_a_partition_has_no_directory_before_its_first_append() -> None:
    rig = Rig()
    log = rig.log()
    rig.settle()
    assert rig.disk.list(ROOT) == [".lock"]
    append(log, [b"v"])
    rig.settle()
    assert "orders-0" in rig.disk.list(ROOT)


def test_names_that_are_no_partitions_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    for name in ("orders", "lost+found", "orders-1-stray", "x" * 32 + "-delete"):
        rig.disk.make_directory(f"{ROOT}/{name}")
    with caplog.at_level(logging.WARNING):
        rig.kill()
    assert rig.directory.logs == {}
    assert caplog.text.count("left alone") == 3
    assert len(rig.disk.list(ROOT)) == 5


def test_a_deleted_partition_goes_at_once_and_its_files_later() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"])
    rig.settle()
    piece = log.read(0, 1000, upto=1, at_least_one=True)
    assert piece is not None
    assert not isinstance(piece, Refusal)
    rig.directory.delete_log("orders", 0)
    assert rig.directory.logs == {}
    assert log.append(make_batch(), 0) == Refusal(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert f"orders-0.{bytes(16).hex()}-delete" in rig.disk.list(ROOT)
    again = rig.log()
    append(again, [b"another life"])
    rig.turn()
    rig.settle()
    assert [name for name in rig.disk.list(ROOT) if name.startswith("orders")] == ["orders-0"]
    assert len(stored(again)) == 1
    assert len(piece.read()) == len(piece)
    piece.release()


def test_a_removal_that_a_crash_cut_short_goes_on() -> None:
    rig = Rig()
    append(rig.log(), [b"v"])
    rig.settle()
    rig.directory.delete_log("orders", 0)
    rig.kill()
    assert rig.directory.logs == {}
    rig.settle()
    assert not [name for name in rig.disk.list(ROOT) if "orders" in name]


def test_a_log_that_never_had_a_batch_can_be_deleted() -> None:
    rig = Rig()
    rig.log()
    rig.directory.delete_log("orders", 0)
    assert rig.directory.logs == {}


def test_an_orderly_end_leaves_the_marker_and_everything_on_the_disk() -> None:
    rig = Rig(defaults=LogConfig(durability=PAGE_CACHE))
    for n in range(5):
        append(rig.log("orders", n), [b"v"])
    rig.log("silent")
    pending = rig.directory.shut_down(broker_epoch=9)
    assert not pending.done
    rig.settle()
    assert pending.value is True
    rig.directory.close()
    assert rig.disk.open_handles() == []
    assert rig.disk.read_file(f"{ROOT}/{names.CLEAN_FILE}") == b'{"version":0,"brokerEpoch":9}'
    points = decode_offsets(rig.disk.read_file(f"{ROOT}/{names.RECOVERY_POINTS_FILE}"))
    assert points == {**{("orders", n): 1 for n in range(5)}, ("silent", 0): 0}
    assert decode_offsets(rig.disk.read_file(f"{ROOT}/{names.HIGH_WATERMARKS_FILE}"))["orders", 3] == 1
    rig.crash()
    assert rig.directory.clean
    assert sorted(rig.directory.logs) == [("orders", n) for n in range(5)]
    assert all(log.end_offset == 1 for log in rig.directory.logs.values())
    assert not rig.disk.exists(f"{ROOT}/{names.CLEAN_FILE}")


def test_the_marker_is_gone_for_good_once_the_directory_was_opened() -> None:
    rig = Rig()
    rig.shut_down()
    rig.open()
    rig.crash()
    assert not rig.directory.clean


def test_a_flush_that_fails_at_the_end_leaves_no_marker() -> None:
    rig = Rig()
    append(rig.log(), [b"v"])
    rig.turn()
    rig.files.fail("sync_data", OSError(errno.EIO, "broken"), times=9)
    rig.files.fail("sync_filesystem", OSError(errno.EIO, "broken"), times=9)
    pending = rig.directory.shut_down()
    rig.settle()
    assert pending.value is False
    rig.directory.close()
    rig.files.heal()
    assert not rig.open().clean


def test_an_end_waits_for_what_is_under_way() -> None:
    rig = Rig()
    rig.eager = False
    log = rig.log(config=LogConfig(max_message_bytes=1 << 20))
    append(log, [b"x" * 400_000])
    rig.turn()
    pending = rig.directory.shut_down()
    rig.chores.run()
    assert not pending.done
    rig.settle()
    assert pending.value is True
    assert log.synced_offset == 1


def test_shutting_down_an_offline_directory() -> None:
    rig = Rig()
    rig.directory.fail("broken")
    assert rig.directory.shut_down().value is False
    rig.directory.fail("again")  # said once


def test_everybody_hears_when_the_disk_fails() -> None:
    rig = Rig()
    heard = [Heard(rig.log("orders", n)) for n in range(3)]
    rig.directory.fail("broken")
    assert all(one.calls == [("KAFKA_STORAGE_ERROR", 0)] for one in heard)


def test_after_a_failure_the_next_start_trusts_only_what_was_synced() -> None:
    rig = Rig(defaults=LogConfig(durability=PAGE_CACHE))
    append(rig.log(), [b"v"])
    rig.settle()
    rig.directory.write_checkpoints()
    rig.settle()
    assert rig.disk.exists(f"{ROOT}/{names.WRITTEN_POINTS_FILE}")
    rig.directory.fail("broken")
    assert not rig.disk.exists(f"{ROOT}/{names.WRITTEN_POINTS_FILE}")


def test_starts_and_watermarks_are_written_now_and_then() -> None:
    rig = Rig()
    log = rig.log()
    for _ in range(5):
        append(log, [b"v"])
    rig.settle()
    log.advance_start_offset(3)
    rig.directory.write_checkpoints()
    rig.settle()
    assert decode_offsets(rig.disk.read_file(f"{ROOT}/{names.START_OFFSETS_FILE}")) == {("orders", 0): 3}
    assert decode_offsets(rig.disk.read_file(f"{ROOT}/{names.HIGH_WATERMARKS_FILE}")) == {("orders", 0): 5}
    assert rig.kill().logs["orders", 0].start_offset == 3


def test_broken_checkpoints_are_said_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    append(rig.log(), [b"v"])
    rig.settle()
    rig.disk.write_file(f"{ROOT}/{names.START_OFFSETS_FILE}", b"rubbish")
    rig.disk.write_file(f"{ROOT}/{names.RECOVERY_POINTS_FILE}", b"rubbish")
    with caplog.at_level(logging.WARNING):
        rig.kill()
    assert caplog.text.count("is not used") == 2
    assert rig.log().end_offset == 1


def test_no_handle_leaks_over_many_lives() -> None:
    rig = Rig(defaults=LogConfig(segment_bytes=300))
    for _ in range(3):
        for n in range(10):
            append(rig.log("orders", n % 2), [b"x" * 50])
            rig.turn()
        rig.settle()
        stored(rig.log("orders", 0))
        rig.shut_down()
        assert rig.disk.open_handles() == []
        rig.open()


def test_silent_producers_are_forgotten_while_running() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"], sender=Sender(7, 0, 0))
    rig.directory.housekeeping()
    rig.clock.advance(24 * 3_600_000 - 1)
    rig.directory.housekeeping()
    assert log.producers.state(7) is not None
    rig.clock.advance(1)
    rig.directory.housekeeping()
    assert log.producers.state(7) is None


def test_checkpoints_are_written_now_and_then_however_little_there_is() -> None:
    rig = Rig()
    append(rig.log(), [b"v"])
    rig.settle()
    rig.clock.advance(59_999)
    rig.directory.housekeeping()
    rig.settle()
    assert not rig.disk.exists(f"{ROOT}/{names.RECOVERY_POINTS_FILE}")
    rig.clock.advance(1)
    rig.directory.housekeeping()
    rig.settle()
    assert decode_offsets(rig.disk.read_file(f"{ROOT}/{names.RECOVERY_POINTS_FILE}")) == {("orders", 0): 1}


def test_what_opening_found_is_said(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    append(rig.log(), [b"v"])
    rig.settle()
    with caplog.at_level(logging.INFO):
        rig.kill()
    assert "1 logs recovered, 69 bytes scanned, 0 bytes cut" in caplog.text


def test_empty_checkpoint_files_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.disk.write_file(f"{ROOT}/{names.START_OFFSETS_FILE}", b"")
    with caplog.at_level(logging.WARNING):
        rig.kill()
    assert caplog.text == ""


def test_with_threads_on_a_real_disk(tmp_path: Path) -> None:
    config = LogConfig(segment_bytes=20_000, max_message_bytes=1 << 20)

    def opened(loop: asyncio.AbstractEventLoop) -> tuple[LogDirectory, list[ThreadWorker]]:
        workers = [ThreadWorker(loop, name) for name in Workers._fields]
        directory = LogDirectory(
            str(tmp_path),
            OsFiles(),
            SystemClock(),
            DirectoryConfig(checkpoint_bytes=50_000, inline_write_bytes=5_000),
            workers=Workers(*workers),
            call_soon=loop.call_soon,
            defaults=config,
        )
        directory.open()
        return directory, workers

    async def life() -> None:
        loop = asyncio.get_running_loop()
        directory, workers = opened(loop)
        logs = [directory.create_log("orders", n, bytes(16), config) for n in range(4)]
        done = loop.create_future()

        class Waiter:
            def __init__(self, log: PartitionLog) -> None:
                self.log = log
                log.listener = self

            def on_written(self) -> None: ...

            def on_failed(self, error: ErrorCode) -> None:
                done.set_exception(AssertionError(error.name))

            def on_synced(self) -> None:
                if all(log.synced_offset == 50 for log in logs):
                    done.set_result(None)

        for log in logs:
            Waiter(log)
        for n in range(50):
            for log in logs:
                assert log.append(make_batch([b"x" * 40 * n]), 0) == n
            await asyncio.sleep(0)
        await done
        closed = loop.create_future()
        directory.shut_down().then(closed.set_result)
        assert await closed is True
        for worker in workers:
            worker.close()
        directory.close()
        directory, workers = opened(loop)
        assert directory.clean
        for log in directory.logs.values():
            assert [len(batch) for batch in stored(log)] == [len(make_batch([b"x" * 40 * n])) for n in range(50)]
        for worker in workers:
            worker.close()
        directory.close()

    asyncio.run(life())
