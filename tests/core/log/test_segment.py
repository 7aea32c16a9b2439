"""Counted handles, slices, and finding a batch in a segment."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.log.segment import FileSlice, OpenFile, Segment
from tests.support.log_batches import TIMESTAMP, make_batch
from tests.support.memory_files import MemoryFiles


def segment_with(files: MemoryFiles, base: int, count: int, step: int = 1) -> tuple[Segment, list[int]]:
    files.make_directory("/d")
    segment = Segment(files, "/d", base)
    positions = []
    for n in range(count):
        batch = make_batch([b"v"] * step, base_offset=base + n * step, timestamp=TIMESTAMP + n)
        positions.append(segment.size)
        segment.size += files.writev(segment.opened().handle, [batch])
    return segment, positions


def test_names() -> None:
    segment = Segment(MemoryFiles(), "/d", 42)
    assert segment.path() == "/d/00000000000000000042.log"
    assert segment.path(".index") == segment.offsets.path


def test_a_file_closes_when_the_last_holder_lets_go() -> None:
    files = MemoryFiles()
    segment, _ = segment_with(files, 0, 3)
    piece = FileSlice(segment.opened(), 0, 10)
    segment.close()
    segment.close()
    assert files.open_handles() != []
    piece.retain()
    piece.release()
    assert len(piece) == 10
    assert piece.read() == files.read_file(segment.path())[:10]
    assert piece.handle == piece.file.handle
    piece.release()
    assert files.open_handles() == []


def test_references_are_counted() -> None:
    files = MemoryFiles()
    file = OpenFile(files, files.open_append("/f"))
    file.retain()
    file.release()
    assert files.open_handles() == ["/f"]
    file.release()
    assert files.open_handles() == []


def test_the_file_is_opened_when_needed() -> None:
    files = MemoryFiles()
    files.make_directory("/d")
    segment = Segment(files, "/d", 0)
    assert segment.file is None
    assert segment.opened() is segment.opened()


def test_finding_the_batch_that_holds_an_offset() -> None:
    segment, positions = segment_with(MemoryFiles(), 100, 20, step=3)
    segment.offsets.append(100 + 3 * 10 + 2, positions[10])
    for offset, number in ((100, 0), (102, 0), (103, 1), (129, 9), (132, 10), (133, 11), (159, 19)):
        assert segment.find(offset, segment.size) == positions[number]
    assert segment.find(160, segment.size) is None
    assert segment.find(0, segment.size) == 0


@pytest.mark.parametrize("entry", [(132, 17), (132, 0), (131, 10), (132, 11), (129, 10), (120, 12), (132, 99_999)])
def test_an_index_entry_that_does_not_fit_is_passed_over(
    entry: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    segment, positions = segment_with(MemoryFiles(), 100, 20, step=3)
    offset, position = entry
    segment.offsets.append(offset, positions[position] if position < 17 else position)
    for n in range(20):
        assert segment.find(101 + 3 * n, segment.size) == positions[n]
    assert "does not fit" in caplog.text


def test_the_end_is_not_searched_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    files = MemoryFiles()
    segment, positions = segment_with(files, 0, 2000)
    segment.offsets.append(1500, positions[1500])
    read: list[int] = []
    whole = files.pread

    def pread(handle: int, size: int, position: int) -> bytes:
        read.append(position)
        return whole(handle, size, position)

    monkeypatch.setattr(files, "pread", pread)
    assert segment.find(1501, positions[1500]) is None
    assert segment.find(1501, segment.size) == positions[1501]
    assert min(read) == positions[1500]


def test_a_log_that_is_broken_on_the_way_is_said_to_be() -> None:
    files = MemoryFiles()
    segment, positions = segment_with(files, 0, 5)
    files.pwrite(segment.opened().handle, b"\xff", positions[2] + 16)
    assert segment.find(1, segment.size) == positions[1]
    with pytest.raises(CorruptData, match="not the header"):
        segment.find(3, segment.size)


def test_only_what_is_written_is_looked_at() -> None:
    segment, positions = segment_with(MemoryFiles(), 0, 5)
    assert segment.find(4, positions[4]) is None


def test_the_first_timestamp() -> None:
    segment, _ = segment_with(MemoryFiles(), 0, 2)
    segment.reload_first_timestamp()
    assert segment.first_timestamp == TIMESTAMP
