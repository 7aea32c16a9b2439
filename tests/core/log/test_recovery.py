"""Loading a log: after an orderly end, a kill, a power loss, and with files that were damaged."""

from __future__ import annotations

import logging

import pytest

from moldau.core.log.config import PAGE_CACHE, SYNCED, DirectoryConfig, LogConfig
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.points import snapshot_path
from moldau.core.log.producers import ProducerStates
from moldau.core.protocol.batch import RecordBatch
from tests.support.log_batches import TIMESTAMP, Sender, make_batch
from tests.support.log_rig import ROOT, TOPIC_ID, Heard, Rig, append, stored

SIZE = len(make_batch([b"x" * 50]))
SMALL = LogConfig(segment_bytes=4 * SIZE, index_interval_bytes=SIZE)
LOG = f"{ROOT}/orders-0/00000000000000000000.log"


def life(rig: Rig, count: int = 10, epochs: int = 1) -> PartitionLog:
    """Batches of one producer in segments of four; the epoch rises `epochs` times on the way."""
    log = rig.log()
    for _ in range(count):
        n = log.end_offset
        append(log, [b"x" * 50], 1 + n * epochs // count, sender=Sender(7, 0, n), timestamp=TIMESTAMP + n)
        rig.settle()
    return log


def picture(log: PartitionLog) -> dict[str, object]:
    """Everything that has to be the same after a restart."""
    return {
        "ends": (log.start_offset, log.end_offset, log.written_offset),
        "epochs": log.leader_epochs.entries,
        "producers": [log.producers.state(n) for n in (7, 8)],
        "segments": [
            (s.base_offset, s.size, s.max_timestamp, s.max_timestamp_offset, s.offsets.entries()) for s in log.segments
        ],
        "first timestamp": log.segments[-1].first_timestamp,
        "topic": log.topic_id,
        "batches": stored(log),
    }


def overwrite(rig: Rig, path: str, content: bytes, position: int) -> None:
    handle = rig.disk.open_write(path)
    rig.disk.pwrite(handle, content, position)
    rig.disk.sync_data(handle)
    rig.disk.close(handle)


def cut(rig: Rig, path: str, size: int) -> None:
    handle = rig.disk.open_write(path)
    rig.disk.truncate(handle, size)
    rig.disk.sync_data(handle)
    rig.disk.close(handle)


@pytest.mark.parametrize("way", ["orderly", "kill", "power"])
def test_a_log_is_what_it_was(way: str) -> None:
    rig = Rig(defaults=SMALL)
    before = picture(life(rig, 11, epochs=3))
    if way == "orderly":
        rig.shut_down()
        rig.open()
    elif way == "kill":
        rig.kill()
    else:
        rig.crash()
    log = rig.log()
    assert picture(log) == before
    assert log.synced_offset == 11
    assert rig.directory.clean == (way == "orderly")
    assert (rig.directory.recovered.scanned == 0) == (way == "orderly")
    assert log.topic_id == TOPIC_ID
    append(log, [b"goes on"], 9, sender=Sender(7, 0, 11))
    rig.settle()
    assert len(stored(log)) == 12


def test_a_torn_tail_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    log = life(rig, 5)
    append(log, [b"y" * 200])
    rig.turn()
    cut(rig, LOG, 5 * SIZE + 100)
    with caplog.at_level(logging.WARNING):
        rig.kill()
    assert rig.log().end_offset == 5
    assert len(rig.disk.read_file(LOG)) == 5 * SIZE
    assert rig.directory.recovered.cut == 100
    assert "offset 5, 100 bytes go: the file ends within a batch" in caplog.text


@pytest.mark.parametrize("where", [3 * SIZE + 8, 3 * SIZE + 16, 3 * SIZE + 30, 4 * SIZE - 1])
def test_a_batch_with_a_flipped_bit_ends_the_log(where: int) -> None:
    rig = Rig()
    life(rig, 6)
    byte = rig.disk.read_file(LOG)[where]
    overwrite(rig, LOG, bytes([byte ^ 0x10]), where)
    rig.kill()
    log = rig.log()
    assert log.end_offset == 3
    assert log.producers.state(7) == (0, tuple((n, n, n, TIMESTAMP + n) for n in range(3)))


@pytest.mark.parametrize("durability", [SYNCED, PAGE_CACHE])
def test_a_bit_flipped_below_the_point_does_not_stop_a_start(durability: str) -> None:
    rig = Rig(defaults=LogConfig(durability=durability))
    life(rig, 6)
    rig.directory.write_checkpoints()
    rig.settle()
    overwrite(rig, LOG, b"\xff", 2 * SIZE + 16)
    for name in rig.disk.list(f"{ROOT}/orders-0"):
        if name.endswith(".snapshot"):
            rig.disk.unlink(f"{ROOT}/orders-0/{name}")
    rig.kill()
    assert rig.log().end_offset <= 6


def test_zeros_at_the_end_are_cut() -> None:
    rig = Rig()
    life(rig, 2)
    overwrite(rig, LOG, bytes(5000), 2 * SIZE)
    rig.kill()
    assert rig.log().end_offset == 2


def test_segments_behind_a_broken_batch_are_removed() -> None:
    rig = Rig(defaults=SMALL)
    life(rig, 14)
    overwrite(rig, f"{ROOT}/orders-0/00000000000000000004.log", b"\xee", 2 * SIZE - 1)
    rig.kill()
    log = rig.log()
    assert [segment.base_offset for segment in log.segments] == [0, 4]
    assert log.end_offset == 5
    assert [name for name in rig.disk.list(log.directory) if name.endswith(".log")] == [
        "00000000000000000000.log",
        "00000000000000000004.log",
    ]


def test_a_segment_that_does_not_follow_is_removed() -> None:
    rig = Rig(defaults=SMALL)
    life(rig, 4)
    rig.disk.write_file(f"{ROOT}/orders-0/00000000000000000099.log", make_batch(base_offset=99))
    rig.kill()
    assert rig.log().end_offset == 4
    assert not rig.disk.exists(f"{ROOT}/orders-0/00000000000000000099.log")


def test_a_clean_marker_that_lies_is_found_out() -> None:
    rig = Rig()
    life(rig, 5)
    rig.shut_down()
    cut(rig, LOG, 5 * SIZE - 10)
    rig.open()
    assert rig.directory.clean
    assert rig.log().end_offset == 4
    assert rig.directory.recovered.cut == SIZE - 10


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("damage", ["missing", "short", "falling"])
def test_indexes_are_made_again(suffix: str, damage: str) -> None:
    rig = Rig(defaults=SMALL)
    before = picture(life(rig, 10))
    rig.shut_down()
    for base in (0, 4, 8):
        path = f"{ROOT}/orders-0/{base:020d}{suffix}"
        content = rig.disk.read_file(path)
        if damage == "missing":
            rig.disk.unlink(path)
        elif damage == "short":
            rig.disk.write_file(path, content[:-3])
        else:
            entry = 8 if suffix == ".index" else 12
            rig.disk.write_file(
                path, content[-entry:] + content[:-entry] if len(content) > entry else content + content[:1]
            )
    rig.open()
    assert picture(rig.log()) == before


def test_an_index_that_points_beyond_its_file_is_cut() -> None:
    rig = Rig(defaults=LogConfig(index_interval_bytes=SIZE))
    life(rig, 10)
    rig.directory.write_checkpoints()
    rig.settle()
    cut(rig, LOG, 5 * SIZE)
    rig.kill()
    log = rig.log()
    assert log.end_offset == 5
    assert all(position < 5 * SIZE for _, position in log.segments[0].offsets.entries())


def test_epochs_are_found_in_the_batches_when_their_file_is_gone() -> None:
    rig = Rig(defaults=SMALL)
    before = picture(life(rig, 10, epochs=4))
    rig.shut_down()
    rig.disk.unlink(f"{ROOT}/orders-0/leader-epoch-checkpoint")
    rig.open()
    assert picture(rig.log()) == before
    rig.shut_down()
    rig.disk.write_file(f"{ROOT}/orders-0/leader-epoch-checkpoint", b"rubbish")
    rig.open()
    assert picture(rig.log()) == before


def test_epochs_of_lost_batches_are_forgotten() -> None:
    rig = Rig()
    life(rig, 6, epochs=3)
    cut(rig, LOG, 3 * SIZE)
    rig.kill()
    assert rig.log().leader_epochs.entries == [(1, 0), (2, 2)]


def test_times_of_lost_batches_are_forgotten() -> None:
    rig = Rig(defaults=LogConfig(index_interval_bytes=SIZE))
    life(rig, 10)
    rig.directory.write_checkpoints()
    rig.settle()
    cut(rig, LOG, 5 * SIZE)
    rig.kill()
    segment = rig.log().segments[0]
    assert segment.max_timestamp == TIMESTAMP + 4
    assert max(offset for _, offset in segment.times.entries()) <= 4


def test_a_broken_snapshot_is_made_up_for_by_the_batches() -> None:
    rig = Rig(defaults=SMALL)
    before = picture(life(rig, 10))
    rig.shut_down()
    for name in rig.disk.list(f"{ROOT}/orders-0"):
        if name.endswith(".snapshot"):
            rig.disk.write_file(f"{ROOT}/orders-0/{name}", b"rubbish")
    rig.open()
    assert picture(rig.log()) == before


def test_a_snapshot_of_records_that_were_lost_is_not_believed() -> None:
    """It would call the retry of a lost batch a duplicate."""
    rig = Rig()
    log = life(rig, 3)
    later = ProducerStates()
    later.replay(7, 0, 3, 5, 3, TIMESTAMP)
    rig.disk.write_file(snapshot_path(log.directory, 9), later.encode_snapshot())
    rig.crash()
    log = rig.log()
    assert log.append(make_batch(sender=Sender(7, 0, 3)), 1) == 3
    assert not rig.disk.exists(snapshot_path(log.directory, 9))


def test_silent_producers_do_not_come_back() -> None:
    rig = Rig(DirectoryConfig(producer_id_expiration_ms=1000))
    life(rig, 1)
    rig.clock.advance(1000)
    rig.kill()
    assert rig.log().producers.state(7) is not None
    rig.clock.advance(1)
    rig.kill()
    assert rig.log().producers.state(7) is None


def test_a_log_that_lost_everything_below_its_start_begins_there() -> None:
    rig = Rig(defaults=LogConfig(durability=PAGE_CACHE))
    log = life(rig, 6)
    log.advance_start_offset(4)
    rig.directory.write_checkpoints()
    rig.settle()
    rig.crash()
    log = rig.log()
    assert (log.start_offset, log.end_offset) == (4, 4)
    assert append(log, [b"goes on"]) == 4


def test_a_directory_with_nothing_in_it_is_an_empty_log() -> None:
    rig = Rig()
    rig.disk.make_directory(f"{ROOT}/orders-0")
    rig.disk.write_file(f"{ROOT}/orders-0/quorum-state", b"{}")
    rig.disk.write_file(f"{ROOT}/orders-0/leader-epoch-checkpoint.tmp", b"half")
    rig.kill()
    log = rig.log()
    assert (log.start_offset, log.end_offset) == (0, 0)
    assert rig.disk.list(log.directory) == ["quorum-state"]
    append(log, [b"v"])
    rig.settle()
    assert "partition.metadata" in rig.disk.list(log.directory)


def test_cached_pages_are_dropped_before_a_scan() -> None:
    """After a failed sync the cache holds what the disk does not."""
    rig = Rig()
    life(rig, 2)
    rig.files.calls.clear()
    rig.kill()
    assert rig.files.calls["drop_cached"] == 1
    rig.shut_down()
    rig.files.calls.clear()
    rig.open()
    assert "drop_cached" not in rig.files.calls


def test_a_recovered_tail_is_synced_before_it_counts() -> None:
    rig = Rig()
    log = life(rig, 2)
    append(log, [b"written, not synced"])
    rig.turn()
    assert (log.written_offset, log.synced_offset) == (3, 2)
    rig.files.calls.clear()
    rig.kill()
    assert rig.files.calls.get("sync_data", 0) + rig.files.calls.get("sync_filesystem", 0) >= 1
    log = rig.log()
    assert (log.end_offset, log.synced_offset) == (3, 3)
    rig.crash()
    assert rig.log().end_offset == 3


def test_a_page_cache_log_does_not_wait_for_the_disk_at_the_start() -> None:
    rig = Rig(defaults=LogConfig(durability=PAGE_CACHE))
    life(rig, 3)
    rig.files.calls.clear()
    rig.kill()
    assert "sync_data" not in rig.files.calls
    assert "sync_filesystem" not in rig.files.calls
    log = rig.log()
    assert (log.written_offset, log.synced_offset) == (3, 0)
    heard = Heard(log)
    log.reconfigure(LogConfig())
    rig.settle()
    assert heard.calls == [("synced", 3)]
    rig.crash()
    assert rig.log().end_offset == 3


def test_every_batch_is_where_its_index_entry_says() -> None:
    rig = Rig(defaults=LogConfig(index_interval_bytes=2 * SIZE))
    life(rig, 30)
    rig.kill()
    log = rig.log()
    content = rig.disk.read_file(LOG)
    entries = log.segments[0].offsets.entries()
    assert len(entries) == 9
    for offset, position in entries:
        assert RecordBatch(content, position).last_offset == offset
