"""Checkpoints: when they are taken, what they hold, what a start after a crash has to scan."""

from __future__ import annotations

import errno

import pytest

from moldau.core.log.checkpoints import decode_offsets, encode_offsets
from moldau.core.log.config import PAGE_CACHE, SYNCED, DirectoryConfig, LogConfig
from moldau.core.log.names import RECOVERY_POINTS_FILE, WRITTEN_POINTS_FILE
from moldau.core.log.points import encode_written_points, read_written_points, snapshot_path
from tests.support.log_batches import Sender
from tests.support.log_rig import ROOT, Rig, append, stored
from tests.support.memory_files import MemoryFiles

OFTEN = DirectoryConfig(checkpoint_bytes=1000, checkpoint_batch_bytes=0, recovery_checkpoint_bytes=1 << 40)
KEY = ("orders", 0)


def fill(rig: Rig, count: int, config: LogConfig | None = None) -> None:
    log = rig.log(config=config)
    for _ in range(count):
        append(log, [b"x" * 50], sender=Sender(7, 0, log.end_offset))
        rig.turn()
        rig.sync.run()
        rig.background.run()


def scanned_after_kill(rig: Rig) -> int:
    """Bytes whose checksums a new process has to check."""
    rig.disk.kill()
    before = rig.disk.read_file(f"{ROOT}/orders-0/00000000000000000000.log")
    rig.open()
    log = rig.log()
    assert len(before) == log.size
    return rig.directory.recovered.scanned


def test_a_checkpoint_is_taken_every_so_many_bytes() -> None:
    rig = Rig(OFTEN)
    fill(rig, 5)
    assert rig.directory.checkpoints.taken == 0
    fill(rig, 20)
    rig.settle()
    assert rig.directory.checkpoints.taken >= 1
    assert rig.directory.checkpoints.written_points[KEY] >= 9


def test_batches_count_beyond_their_bytes() -> None:
    rig = Rig(DirectoryConfig(checkpoint_bytes=100_000, checkpoint_batch_bytes=10_000))
    fill(rig, 12)
    rig.settle()
    assert rig.directory.checkpoints.taken == 1


@pytest.mark.parametrize("durability", [SYNCED, PAGE_CACHE])
def test_a_start_after_a_kill_scans_little(durability: str) -> None:
    rig = Rig(OFTEN, LogConfig(index_interval_bytes=200, durability=durability))
    for _ in range(40):
        fill(rig, 5)
        rig.chores.run()
    total = rig.log().size
    assert total > 20_000
    assert scanned_after_kill(rig) < 3000
    assert rig.log().producers.state(7) is not None
    assert rig.log().end_offset == 200


def test_after_a_power_loss_written_points_are_not_believed() -> None:
    rig = Rig(OFTEN, LogConfig(durability=PAGE_CACHE))
    fill(rig, 50)
    rig.settle()
    assert read_written_points(rig.disk, ROOT) == {KEY: rig.directory.checkpoints.written_points[KEY]}
    rig.disk.sync_filesystem(rig.disk.open_read(f"{ROOT}/.lock"))
    rig.crash()
    assert read_written_points(rig.disk, ROOT) == {}


def test_written_points_are_only_believed_beside_their_recovery_points() -> None:
    files = MemoryFiles()
    recovery = encode_offsets({KEY: 3})
    files.write_file(f"/{RECOVERY_POINTS_FILE}", recovery)
    files.write_file(f"/{WRITTEN_POINTS_FILE}", encode_written_points("boot-0", recovery, {KEY: 9}))
    assert read_written_points(files, "") == {KEY: 9}
    files.write_file(f"/{RECOVERY_POINTS_FILE}", encode_offsets({KEY: 4}))  # another broker was here
    assert read_written_points(files, "") == {}


@pytest.mark.parametrize(
    "content", [b"", b"0\n0\n", b"0\n1\nboot-0\n", b"0\n1\nboot-0 x\n", b"0\n2\nboot-0 0\norders 0\n"]
)
def test_broken_written_points(content: bytes) -> None:
    files = MemoryFiles()
    files.write_file(f"/{WRITTEN_POINTS_FILE}", content)
    assert read_written_points(files, "") == {}


def test_recovery_points_hold_what_is_synced_and_checkpointed() -> None:
    rig = Rig(OFTEN, LogConfig(index_interval_bytes=200))
    fill(rig, 20)
    rig.settle()
    assert not rig.disk.exists(f"{ROOT}/{RECOVERY_POINTS_FILE}")
    rig.directory.write_checkpoints()
    rig.settle()
    point = decode_offsets(rig.disk.read_file(f"{ROOT}/{RECOVERY_POINTS_FILE}"))[KEY]
    assert point >= 9
    rig.crash()
    log = rig.log()
    assert log.end_offset == 20
    # Index entries and a snapshot for the point were on the disk.
    assert rig.directory.recovered.scanned < log.size * (20 - point + 3) / 20
    assert log.producers.state(7) is not None


def test_page_cache_logs_get_no_recovery_point_without_a_sync() -> None:
    rig = Rig(OFTEN, LogConfig(durability=PAGE_CACHE))
    fill(rig, 20)
    rig.settle()
    rig.directory.write_checkpoints()
    rig.settle()
    assert decode_offsets(rig.disk.read_file(f"{ROOT}/{RECOVERY_POINTS_FILE}")).get(KEY, 0) == 0


def test_a_synced_log_waits_for_its_round() -> None:
    rig = Rig(OFTEN)
    log = rig.log()
    append(log, [b"x"])
    rig.settle()
    for _ in range(20):
        append(log, [b"x" * 50])
        rig.turn()
    rig.chores.run()
    assert rig.directory.checkpoints.written_points.get(KEY, 0) == 0
    rig.settle()
    assert rig.directory.checkpoints.written_points[KEY] > 0


def test_snapshots_nobody_needs_are_removed() -> None:
    rig = Rig(OFTEN, LogConfig(segment_bytes=5000))
    for _ in range(40):
        fill(rig, 5)
        rig.settle()
    log = rig.log()
    point = rig.directory.checkpoints.written_points[KEY]
    kept = sorted(int(name[:20]) for name in rig.disk.list(log.directory) if name.endswith(".snapshot"))
    assert kept == sorted({*(segment.base_offset for segment in log.segments[1:]), point})
    assert kept == sorted(log.snapshot_offsets)


def test_the_snapshot_of_the_recovery_point_is_kept() -> None:
    rig = Rig(OFTEN)
    fill(rig, 10)
    rig.settle()
    rig.directory.write_checkpoints()
    rig.settle()
    point = rig.directory.checkpoints.recovery_points[KEY]
    for _ in range(10):
        fill(rig, 10)
        rig.settle()
    assert point in rig.log().snapshot_offsets
    assert rig.disk.exists(snapshot_path(rig.log().directory, point))


def test_what_a_worker_writes_for_a_log_that_was_cut_does_not_stay() -> None:
    rig = Rig(OFTEN, LogConfig(index_interval_bytes=60))
    log = rig.log()
    for _ in range(8):
        append(log, [b"x" * 50])
        rig.turn()
        rig.sync.run()
    rig.directory.checkpoints.take()
    log.truncate_to(3)
    rig.settle()
    assert rig.directory.checkpoints.written_points.get(KEY, 0) <= 3
    assert len(rig.disk.read_file(log.segments[0].offsets.path)) == 8 * log.segments[0].offsets.flushed
    assert all(offset < 3 for offset, _ in log.segments[0].offsets.entries())
    append(log, [b"y" * 70])
    rig.settle()
    rig.directory.write_checkpoints()
    rig.settle()
    rig.kill()
    assert [len(batch) for batch in stored(rig.log())][-1] > 118


def test_epochs_that_could_not_be_saved_keep_a_log_out_of_checkpoints() -> None:
    rig = Rig(OFTEN, LogConfig(durability=PAGE_CACHE))
    log = rig.log()
    append(log, [b"v"], 5)
    rig.turn()
    rig.files.fail("rename", OSError(errno.ENOSPC, "full"))
    rig.directory.checkpoints.take()
    rig.chores.run(2)
    rig.settle()
    assert KEY not in rig.directory.checkpoints.written_points
    assert not log.leader_epochs.saved
    append(log, [b"v"], 5)
    rig.settle()
    assert log.leader_epochs.saved
    rig.directory.checkpoints.take()
    rig.settle()
    assert rig.directory.checkpoints.written_points[KEY] == 2


def test_a_checkpoint_that_cannot_be_written_is_tried_again() -> None:
    rig = Rig(OFTEN, LogConfig(index_interval_bytes=200))
    fill(rig, 10)
    rig.files.fail("pwrite", OSError(errno.ENOSPC, "full"))
    rig.settle()
    assert rig.directory.checkpoints.written_points.get(KEY) is None
    assert not rig.directory.offline
    fill(rig, 20)
    rig.settle()
    assert rig.directory.checkpoints.written_points[KEY] >= 10
    assert scanned_after_kill(rig) < 2500


def test_a_sync_that_fails_in_a_checkpoint_takes_the_directory_offline() -> None:
    rig = Rig(DirectoryConfig(sync_method="fdatasync"))
    fill(rig, 3)
    rig.settle()
    rig.files.fail("sync_data", OSError(errno.EIO, "broken"))
    rig.directory.write_checkpoints()
    rig.settle()
    assert rig.directory.offline


def test_nothing_of_an_unwritten_batch_gets_into_a_checkpoint() -> None:
    rig = Rig(OFTEN, LogConfig(index_interval_bytes=60))
    fill(rig, 3)
    rig.settle()
    log = rig.log()
    for n in range(3, 6):
        append(log, [b"x" * 50], sender=Sender(7, 0, n))
    rig.directory.checkpoints.take()
    rig.chores.run()
    log.go_offline()
    rig.kill()
    log = rig.log()
    assert log.end_offset == 3
    state = log.producers.state(7)
    assert state is not None
    assert state[1][-1][0] == 2
    assert snapshot_path(log.directory, 3) in [f"{log.directory}/{name}" for name in rig.disk.list(log.directory)]


def test_many_logs_are_looked_at_some_at_a_time() -> None:
    rig = Rig(OFTEN)
    for n in range(150):
        append(rig.log("many", n), [b"x"])
    rig.settle()
    rig.directory.write_checkpoints()
    assert len(rig.chores.waiting) == 2  # the first 64 logs, and the other checkpoint files
    rig.settle()
    assert len(rig.directory.checkpoints.recovery_points) == 150


def test_a_deleted_log_leaves_no_point() -> None:
    rig = Rig(OFTEN)
    fill(rig, 20)
    rig.settle()
    rig.directory.delete_log("orders", 0)
    rig.directory.write_checkpoints()
    rig.settle()
    assert decode_offsets(rig.disk.read_file(f"{ROOT}/{RECOVERY_POINTS_FILE}")) == {}
    assert read_written_points(rig.disk, ROOT) == {}


def test_a_cut_lowers_the_points_first() -> None:
    rig = Rig(OFTEN)
    fill(rig, 20)
    rig.settle()
    rig.directory.write_checkpoints()
    rig.settle()
    rig.log().truncate_to(4)
    assert decode_offsets(rig.disk.read_file(f"{ROOT}/{RECOVERY_POINTS_FILE}"))[KEY] == 4
    assert read_written_points(rig.disk, ROOT) == {}
    rig.crash()
    assert len(stored(rig.log())) == 4
