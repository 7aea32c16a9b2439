"""Sparse indexes: look-up in memory and file, flushing, cutting, Kafka's layout."""

from __future__ import annotations

import struct

import pytest

from moldau.core.log.index import OffsetIndex, TimeIndex
from moldau.core.log.points import write_at
from tests.support.memory_files import MemoryFiles

BASE = 1000


def flush(index: OffsetIndex | TimeIndex, below: int = 1 << 60) -> None:
    content = index.unflushed(below)
    write_at(index._files, index.path, index.flushed * index.layout.size, content)
    index.mark_flushed(len(content))


def offsets(count: int = 0, files: MemoryFiles | None = None) -> OffsetIndex:
    index = OffsetIndex(files or MemoryFiles(), "/i.index", BASE)
    for n in range(count):
        index.append(BASE + 10 * n, 100 * n)
    return index


@pytest.mark.parametrize("flushed", [0, 3, 7])
def test_the_entry_at_or_below_an_offset(flushed: int) -> None:
    index = offsets(7)
    flush(index, BASE + 10 * flushed)
    assert index.flushed == flushed
    assert len(index) == 7
    assert index.floor(BASE - 1) is None
    assert index.floor(BASE) == (BASE, 0)
    assert index.floor(BASE + 29) == (BASE + 20, 200)
    assert index.floor(BASE + 30) == (BASE + 30, 300)
    assert index.floor(BASE + 999) == (BASE + 60, 600)
    assert index.entries() == [(BASE + 10 * n, 100 * n) for n in range(7)]


def test_a_large_file_is_halved() -> None:
    index = offsets(5000)
    flush(index)
    files = index._files
    for offset in (0, 9, 10, 12_345, 49_989, 49_990, 60_000):
        assert index.floor(BASE + offset) == (BASE + min(offset // 10, 4999) * 10, min(offset // 10, 4999) * 100)
    assert files.open_handles() == []


def test_the_layouts_are_kafkas() -> None:
    files = MemoryFiles()
    index = offsets(2, files)
    flush(index)
    assert files.read_file("/i.index") == struct.pack(">iiii", 0, 0, 10, 100)
    times = TimeIndex(files, "/i.timeindex", BASE)
    times.append(77, BASE + 5)
    flush(times)
    assert files.read_file("/i.timeindex") == struct.pack(">qi", 77, 5)


def test_time_entries_only_rise() -> None:
    times = TimeIndex(MemoryFiles(), "/t", BASE)
    for timestamp, offset in ((50, BASE), (50, BASE + 1), (40, BASE + 2), (60, BASE + 3)):
        times.append(timestamp, offset)
    assert times.entries() == [(50, BASE), (60, BASE + 3)]
    assert times.floor(59) == (50, BASE)
    assert times.floor(49) is None


def test_what_is_not_written_yet_is_not_flushed() -> None:
    index = offsets(5)
    assert len(index.unflushed(BASE + 20)) == 2 * 8
    flush(index, BASE + 20)
    index.cut(index.count_while(BASE + 20, 0))
    assert index.entries() == [(BASE, 0), (BASE + 10, 100)]
    index.append(BASE + 15, 150)
    flush(index)
    assert index.entries() == [(BASE, 0), (BASE + 10, 100), (BASE + 15, 150)]


@pytest.mark.parametrize("flushed", [0, 2, 5])
def test_cutting(flushed: int) -> None:
    index = offsets(5)
    flush(index, BASE + 10 * flushed)
    assert index.count_while(BASE + 30, 0) == 3
    assert index.count_while(150, 1) == 2
    index.cut(9)
    assert len(index) == 5
    index.cut(3)
    assert index.last == (BASE + 20, 200)
    flush(index)
    index.cut(1)
    assert index.entries() == [(BASE, 0)]
    assert index._files.read_file(index.path) == struct.pack(">ii", 0, 0)
    index.clear()
    assert index.last is None
    assert index._files.read_file(index.path) == b""


def test_loading() -> None:
    files = MemoryFiles()
    assert not offsets(0, files).load()
    flush(offsets(3, files))
    index = offsets(0, files)
    assert index.load()
    assert len(index) == 3
    assert index.last == (BASE + 20, 200)


def test_the_zeros_of_a_file_made_at_full_size_are_no_entries() -> None:
    files = MemoryFiles()
    flush(offsets(3, files))
    handle = files.open_write("/i.index")
    files.truncate(handle, 10_240)
    files.close(handle)
    index = offsets(0, files)
    assert index.load()
    assert len(index) == 3
    files.write_file("/i.index", bytes(80))
    assert index.load()
    assert len(index) == 0
    assert index.last is None


@pytest.mark.parametrize(
    "content", [b"short", struct.pack(">iiii", 30, 300, 10, 100), struct.pack(">iiii", 10, 300, 20, 100)]
)
def test_a_file_that_breaks_the_format_is_not_taken(content: bytes) -> None:
    files = MemoryFiles()
    files.write_file("/i.index", content)
    index = offsets(0, files)
    if content[:4] == struct.pack(">i", 10):
        assert index.load()  # positions are checked against the log by whoever loads both
    else:
        assert not index.load()


def test_trimming_takes_what_a_late_worker_wrote() -> None:
    index = offsets(3)
    flush(index)
    write_at(index._files, index.path, 24, struct.pack(">ii", 90, 900))
    index.trim_file()
    assert len(index._files.read_file(index.path)) == 24
