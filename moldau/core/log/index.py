"""Sparse indexes of a segment: offset to position, and timestamp to offset. Kafka's files.

Lives here: entries in memory until they are flushed, look-up in both parts, cutting and checking. A file
is opened for a look-up and closed again, so that a thousand segments cost no descriptor.

    .index      int32 last offset of a batch, relative to the segment's base | int32 position of that batch
    .timeindex  int64 largest timestamp so far | int32 relative last offset of the batch that has it

Crash story: entries reach the file at a checkpoint, before the point that vouches for them. What stands
behind that point after a crash is cut off and made again from the log.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import ClassVar

from moldau.core.base.files import Files

Entry = tuple[int, int]

# Files up to this size are read whole for a look-up; larger ones are halved by single reads.
_READ_WHOLE = 4096


class SparseIndex(ABC):
    """Pairs of rising numbers; the first one is searched for."""

    layout: ClassVar[struct.Struct]

    __slots__ = ("_base", "_files", "_tail", "flushed", "last", "path")

    def __init__(self, files: Files, path: str, base_offset: int) -> None:
        self._files = files
        self._base = base_offset
        self._tail: list[Entry] = []
        self.path = path
        self.flushed = 0  # entries in the file
        self.last: Entry | None = None

    def __len__(self) -> int:
        return self.flushed + len(self._tail)

    def unflushed(self, below: int) -> bytes:
        """Entries with offsets below `below` that the file lacks, as bytes for `flushed * layout.size`.

        `mark_flushed` once they are there.
        """
        pack, field = self.layout.pack, self._offset_field
        return b"".join([pack(*self._relative(entry)) for entry in self._tail if entry[field] < below])

    def mark_flushed(self, size: int) -> None:
        """`size` bytes of what `unflushed` gave are in the file."""
        count = size // self.layout.size
        self.flushed += count
        del self._tail[:count]

    def entries(self) -> list[Entry]:
        """All entries, for checks and tests."""
        return self._read_entries(0, self.flushed) + self._tail

    def floor(self, key: int) -> Entry | None:
        """The last entry whose first number is <= `key`, or None."""
        tail = self._tail
        if tail and tail[0][0] <= key:
            return tail[bisect_right(tail, key, key=_first) - 1]
        return self._floor_in_file(key)

    def load(self) -> bool:
        """Take the file as it is. False when it is missing or breaks the format: it has to be made again."""
        self._tail.clear()
        self.flushed, self.last = 0, None
        if not self._files.exists(self.path):
            return False
        handle = self._files.open_read(self.path)
        try:
            size = self._files.size(handle)
            count = size // self.layout.size
            if size % self.layout.size:
                return False
            if count and not any(self._files.pread(handle, self.layout.size, (count - 1) * self.layout.size)):
                # Kafka makes index files at full size and cuts them when it closes or rolls; after a crash zeros stay.
                count = -(-len(self._files.pread(handle, size, 0).rstrip(b"\0")) // self.layout.size)
            self.flushed = count
            if count:
                self.last = self._read_at(handle, count - 1)
                first, field = self._read_at(handle, 0), self._offset_field
                return self._base <= first[field] <= self.last[field] and first <= self.last
        finally:
            self._files.close(handle)
        return True

    def cut(self, count: int) -> None:
        """Keep the first `count` entries, in memory and in the file."""
        if count >= len(self):
            return
        if count >= self.flushed:
            del self._tail[count - self.flushed :]
        else:
            self._tail.clear()
            self.flushed = count
            self._cut_file(count)
        self.last = self._tail[-1] if self._tail else self._last_in_file()

    def clear(self) -> None:
        """Forget every entry, and empty the file if there is one."""
        self._tail.clear()
        self.flushed, self.last = 0, None
        if self._files.exists(self.path):
            self._cut_file(0)

    def trim_file(self) -> None:
        """Cut from the file what does not belong to the index any more."""
        if self._files.exists(self.path):
            self._cut_file(self.flushed)

    def count_while(self, keep: int, field: int) -> int:
        """How many leading entries have number `field` < `keep`: what `cut` is to be given. Both numbers rise."""
        tail = self._tail
        if tail and tail[0][field] < keep:
            return self.flushed + bisect_left(tail, keep, key=itemgetter(field))
        return self._count_in_file(keep, field)

    # Which of the two numbers is an offset (kept absolute in memory, relative in the file).
    _offset_field: ClassVar[int]

    @abstractmethod
    def _relative(self, entry: Entry) -> Entry:
        """An entry as the file has it."""

    @abstractmethod
    def _absolute(self, entry: Entry) -> Entry:
        """An entry of the file with its offset in full."""

    def _append(self, entry: Entry) -> None:
        self._tail.append(entry)
        self.last = entry

    def _read_at(self, handle: int, index: int) -> Entry:
        size = self.layout.size
        first, second = self.layout.unpack(self._files.pread(handle, size, index * size))
        return self._absolute((first, second))

    def _read_entries(self, start: int, end: int) -> list[Entry]:
        if start >= end:
            return []
        handle = self._files.open_read(self.path)
        try:
            content = self._files.pread(handle, (end - start) * self.layout.size, start * self.layout.size)
        finally:
            self._files.close(handle)
        content = content[: len(content) // self.layout.size * self.layout.size]
        return [self._absolute((first, second)) for first, second in self.layout.iter_unpack(content)]

    def _last_in_file(self) -> Entry | None:
        found = self._read_entries(self.flushed - 1, self.flushed) if self.flushed else []
        return found[0] if found else None

    def _floor_in_file(self, key: int) -> Entry | None:
        count = self._count_in_file(key + 1, 0)
        found = self._read_entries(count - 1, count) if count else []
        return found[0] if found else None

    def _count_in_file(self, keep: int, field: int) -> int:
        """Entries of the file whose number `field` is < `keep`."""
        low, high = 0, self.flushed  # the answer is in [low, high]
        if not high:
            return 0
        handle = self._files.open_read(self.path)
        try:
            while high - low > _READ_WHOLE // self.layout.size:
                middle = (low + high) // 2
                if self._read_at(handle, middle)[field] < keep:
                    low = middle + 1
                else:
                    high = middle
            content = self._files.pread(handle, (high - low) * self.layout.size, low * self.layout.size)
        finally:
            self._files.close(handle)
        entries = [self._absolute((first, second)) for first, second in self.layout.iter_unpack(content)]
        return low + bisect_left(entries, keep, key=itemgetter(field))

    def _cut_file(self, count: int) -> None:
        handle = self._files.open_write(self.path)
        try:
            self._files.truncate(handle, count * self.layout.size)
        finally:
            self._files.close(handle)


class OffsetIndex(SparseIndex):
    """Entries (last offset of a batch, position of that batch)."""

    layout = struct.Struct(">ii")
    _offset_field = 0
    __slots__ = ()

    def append(self, last_offset: int, position: int) -> None:
        self._append((last_offset, position))

    def _relative(self, entry: Entry) -> Entry:
        return entry[0] - self._base, entry[1]

    def _absolute(self, entry: Entry) -> Entry:
        return entry[0] + self._base, entry[1]


class TimeIndex(SparseIndex):
    """Entries (largest timestamp up to here, last offset of the batch that has it); both rise strictly."""

    layout = struct.Struct(">qi")
    _offset_field = 1
    __slots__ = ()

    def append(self, timestamp: int, offset: int) -> None:
        """Add an entry if it says something new."""
        last = self.last
        if last is None or timestamp > last[0]:
            self._append((timestamp, offset))

    def _relative(self, entry: Entry) -> Entry:
        return entry[0], entry[1] - self._base

    def _absolute(self, entry: Entry) -> Entry:
        return entry[0], entry[1] + self._base


def _first(entry: Entry) -> int:
    return entry[0]
