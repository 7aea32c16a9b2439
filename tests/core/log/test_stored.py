"""Reading by offset: slices, bounds, what need not be searched."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData, ErrorCode, Refusal
from moldau.core.log.config import LogConfig
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.segment import FileSlice
from moldau.core.log.stored import POSITIONS_MAX, SEALED_OPEN_MAX
from moldau.core.protocol.batch import RecordBatch
from tests.support.log_batches import make_batch
from tests.support.log_rig import Rig, append, stored

SIZE = len(make_batch([b"x" * 50]))


def filled(rig: Rig, count: int, config: LogConfig | None = None) -> PartitionLog:
    log = rig.log(config=config)
    for _ in range(count):
        append(log, [b"x" * 50])
    rig.settle()
    return log


def read(log: PartitionLog, offset: int, max_bytes: int = 1 << 20, upto: int | None = None) -> FileSlice:
    piece = log.read(offset, max_bytes, upto=log.synced_offset if upto is None else upto, at_least_one=True)
    assert isinstance(piece, FileSlice), piece
    return piece


def test_a_slice_holds_everything_up_to_the_bound() -> None:
    log = filled(Rig(), 10)
    piece = read(log, 4, upto=8)
    assert (piece.position, len(piece)) == (4 * SIZE, 4 * SIZE)
    assert piece.read() == b"".join(stored(log)[4:8])
    piece.release()


def test_ends_of_the_log() -> None:
    rig = Rig()
    log = filled(rig, 3)
    append(log, [b"not written"])
    assert log.read(3, 100, upto=3, at_least_one=True) is None
    assert log.read(4, 100, upto=3, at_least_one=True) is None
    assert log.read(5, 100, upto=3, at_least_one=True) == Refusal(ErrorCode.OFFSET_OUT_OF_RANGE)
    assert log.read(-1, 100, upto=3, at_least_one=True) == Refusal(ErrorCode.OFFSET_OUT_OF_RANGE)
    assert filled(Rig(), 0).read(0, 100, upto=0, at_least_one=True) is None


def test_bytes_end_within_a_batch_but_the_first_is_whole() -> None:
    log = filled(Rig(), 5)
    assert len(read(log, 0, SIZE + 7)) == SIZE + 7
    assert len(read(log, 0, 7)) == SIZE
    assert len(read(log, 0, 0)) == SIZE
    assert log.read(0, 7, upto=5, at_least_one=False) is None
    piece = log.read(0, SIZE, upto=5, at_least_one=False)
    assert isinstance(piece, FileSlice)
    assert len(piece) == SIZE


def test_an_offset_within_a_batch_gives_the_whole_batch() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"a", b"b", b"c"])
    append(log, [b"d"])
    rig.settle()
    assert RecordBatch(read(log, 2).read()).base_offset == 0


def test_a_bound_within_a_batch_gives_nothing_of_it() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"a", b"b", b"c"])
    rig.settle()
    assert log.read(0, 1000, upto=2, at_least_one=True) is None


def test_neither_the_beginning_nor_the_end_is_searched_for() -> None:
    rig = Rig()
    log = filled(rig, 10, LogConfig(segment_bytes=4 * SIZE))
    rig.files.calls.clear()
    for offset in (0, 4, 8):
        assert len(read(log, offset)) == min(4, 10 - offset) * SIZE
    assert "pread" not in rig.files.calls


def test_a_slice_stays_within_its_segment() -> None:
    log = filled(Rig(), 10, LogConfig(segment_bytes=3 * SIZE))
    assert [segment.base_offset for segment in log.segments] == [0, 3, 6, 9]
    assert len(read(log, 1)) == 2 * SIZE
    assert len(read(log, 3)) == 3 * SIZE
    assert len(read(log, 9)) == SIZE
    assert len(read(log, 4, upto=6)) == 2 * SIZE
    # The place of offset 6 was remembered as the end of the segment before.
    assert read(log, 6).read() == b"".join(stored(log)[6:9])


def test_a_reader_at_the_tail_needs_no_search() -> None:
    rig = Rig()
    log = filled(rig, 5)
    read(log, 0).release()
    rig.files.calls.clear()
    for n in range(5, 20):
        append(log, [b"x" * 50])
        rig.settle()
        assert len(read(log, n)) == SIZE
    assert "pread" not in rig.files.calls


def test_what_is_remembered_is_bounded() -> None:
    rig = Rig()
    log = filled(rig, POSITIONS_MAX + 20)
    for upto in range(1, POSITIONS_MAX + 20):
        read(log, 0, upto=upto).release()
    assert len(log._positions) == POSITIONS_MAX


def test_few_sealed_segments_stay_open_and_slices_keep_theirs() -> None:
    rig = Rig()
    log = filled(rig, 30, LogConfig(segment_bytes=3 * SIZE))
    pieces = [read(log, 3 * n) for n in range(9)]
    assert sum(segment.file is not None for segment in log.segments) == SEALED_OPEN_MAX + 1
    assert [RecordBatch(piece.read()).base_offset for piece in pieces] == [3 * n for n in range(9)]
    for piece in pieces:
        piece.release()
    assert len([path for path in rig.disk.open_handles() if path.endswith(".log")]) == SEALED_OPEN_MAX + 1


def test_batches_come_whole_and_in_order() -> None:
    log = filled(Rig(), 10, LogConfig(segment_bytes=4 * SIZE))
    assert [RecordBatch(batch).base_offset for batch in log.batches(0, 10)] == list(range(10))
    assert [RecordBatch(batch).base_offset for batch in log.batches(3, 8)] == [3, 4, 5, 6, 7]
    assert list(log.batches(10, 10)) == []


def test_replay_stops_at_a_flipped_bit() -> None:
    rig = Rig()
    log = filled(rig, 3)
    handle = rig.disk.open_write(log.segments[0].path())
    rig.disk.pwrite(handle, b"\xee", 2 * SIZE - 1)
    batches = log.batches(0, 3)
    next(batches)
    with pytest.raises(CorruptData, match="offset 1"):
        next(batches)


def test_the_size_of_a_log() -> None:
    assert filled(Rig(), 10, LogConfig(segment_bytes=4 * SIZE)).size == 10 * SIZE
