"""The reading half of a partition's log: finding offsets in its segments, and slices for readers.

Lives here: everything that only reads by offset. Look-up by time is in `times.py`, appending, rolling and
cutting in `partition_log.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import google_crc32c

from moldau.core.base.errors import CorruptData, ErrorCode, Refusal
from moldau.core.base.files import Files
from moldau.core.log.epochs import LeaderEpochs
from moldau.core.log.headers import PREFIX
from moldau.core.log.segment import FileSlice, OpenFile, Segment
from moldau.core.protocol.batch import CRC_FROM, HEADER, HEADER_SIZE, LENGTH_FROM

# Where a batch begins: the segment and the position in its file.
Place = tuple[Segment, int]

POSITIONS_MAX = 64
SEALED_OPEN_MAX = 4
REPLAY_CHUNK = 1 << 20

OUT_OF_RANGE = Refusal(ErrorCode.OFFSET_OUT_OF_RANGE)


class StoredLog:
    """Segments in order, and three ends: assigned (`end_offset`), written, synced. All are batch boundaries."""

    __slots__ = (
        "_opened",
        "_positions",
        "directory",
        "end_offset",
        "files",
        "leader_epochs",
        "segments",
        "start_offset",
        "synced_at",
        "synced_offset",
        "written_at",
        "written_offset",
    )

    def __init__(self, files: Files, directory: str, segments: list[Segment], epochs: LeaderEpochs) -> None:
        self.files = files
        self.directory = directory
        self.segments = segments
        self.leader_epochs = epochs
        last = segments[-1]
        self.start_offset = segments[0].base_offset
        self.end_offset = self.written_offset = self.synced_offset = last.base_offset
        self.written_at: Place = (last, last.size)
        self.synced_at: Place = self.written_at
        # Where earlier reads ended: the next read of a reader at the tail begins there, and must not scan for it.
        self._positions: dict[int, Place] = {}
        self._opened: list[Segment] = []

    @property
    def size(self) -> int:
        """Bytes that are written, in all segments."""
        return sum(segment.size for segment in self.segments)

    def read(self, offset: int, max_bytes: int, *, upto: int, at_least_one: bool) -> FileSlice | Refusal | None:
        """Stored bytes from the batch that holds `offset` on, all from one segment and below `upto`.

        `upto` is a batch boundary that is written. The bytes may end within a batch at `max_bytes`, but the
        first batch is whole: when it alone is larger, it is given with `at_least_one`, and None without.
        None also when there is nothing below `upto`. The caller releases the slice. Raises OSError, CorruptData.
        """
        if offset >= upto:
            return None if offset <= self.end_offset else OUT_OF_RANGE
        if offset < self.start_offset:
            return OUT_OF_RANGE
        segment, position = self._positions.get(offset) or self.place_of(offset)
        last, end = self._boundary(upto)
        while position >= (limit := end if segment is last else segment.size):
            if segment is last:
                return None
            segment, position = self._following(segment), 0
        file = segment.file or self.opened(segment)
        length = limit - position
        if length > max_bytes:
            length = max_bytes
            first = self._batch_size(file, position)
            if first > max_bytes:
                if not at_least_one:
                    return None
                length = first
        elif segment is last and upto not in self._positions:
            self._remember(upto, last, end)
        return FileSlice(file, position, length)

    def batches(self, from_offset: int, upto: int) -> Iterator[bytes]:
        """Whole stored batches, from the one that holds `from_offset` on and below `upto`.

        Raises CorruptData when one does not match its checksum, OSError when it cannot be read.
        """
        offset = max(from_offset, self.start_offset)
        while offset < upto:
            piece = self.read(offset, REPLAY_CHUNK, upto=upto, at_least_one=True)
            if piece is None or isinstance(piece, Refusal):
                return
            try:
                data = piece.read()
            finally:
                piece.release()
            start = 0
            while len(data) - start >= HEADER_SIZE:
                header = HEADER.unpack_from(data, start)
                end = start + header[1] + LENGTH_FROM
                if end > len(data):
                    break
                if google_crc32c.value(data[start + CRC_FROM : end]) != header[4]:
                    raise CorruptData(f"{self.directory}: the batch at offset {header[0]} does not match its checksum")
                offset = header[0] + header[6] + 1
                yield data[start:end]
                start = end
            if start == 0:
                raise CorruptData(f"{self.directory}: no whole batch stands at offset {offset}")

    def end_offset_for(self, epoch: int, current: int) -> tuple[int, int]:
        """What OffsetForLeaderEpoch answers; see `LeaderEpochs.end_offset_for`. `current` is the leader's epoch."""
        return self.leader_epochs.end_offset_for(epoch, self.end_offset, current)

    def segment_of(self, offset: int) -> Segment:
        """The segment whose range holds `offset`: the first one for anything below, the last for anything beyond."""
        index = bisect_right(self.segments, offset, key=_base_offset) - 1
        return self.segments[max(index, 0)]

    def place_of(self, offset: int) -> Place:
        """Where the batch that holds `offset` begins, or the end of its segment. Raises OSError, CorruptData."""
        segment = self.segment_of(offset)
        if offset <= segment.base_offset:
            return segment, 0
        self.opened(segment)
        position = segment.find(offset, segment.size)
        return segment, segment.size if position is None else position

    def batch_start(self, offset: int) -> int:
        """The base offset of the batch that holds `offset`, or `offset` when none does. Raises OSError."""
        segment, position = self.place_of(offset)
        if position >= segment.size:
            return offset
        base, _ = PREFIX.unpack(self.files.pread(self.opened(segment).handle, PREFIX.size, position))
        return min(int(base), offset)

    def _boundary(self, upto: int) -> Place:
        if upto == self.synced_offset:
            return self.synced_at
        if upto == self.written_offset:
            return self.written_at
        return self._positions.get(upto) or self.place_of(upto)

    def _following(self, segment: Segment) -> Segment:
        return self.segments[bisect_right(self.segments, segment.base_offset, key=_base_offset)]

    def _batch_size(self, file: OpenFile, position: int) -> int:
        _, length = PREFIX.unpack(self.files.pread(file.handle, PREFIX.size, position))
        size: int = length + LENGTH_FROM
        return size

    def _remember(self, offset: int, segment: Segment, position: int) -> None:
        positions = self._positions
        if len(positions) >= POSITIONS_MAX:
            del positions[next(iter(positions))]
        positions[offset] = (segment, position)

    def opened(self, segment: Segment) -> OpenFile:
        """The segment's file; of sealed segments only the few used last stay open."""
        if segment.file is None and segment is not self.segments[-1]:
            self._keep_open(segment)
        return segment.opened()

    def _keep_open(self, segment: Segment) -> None:
        self._opened.append(segment)
        if len(self._opened) > SEALED_OPEN_MAX:
            self._opened.pop(0).close()


def _base_offset(segment: Segment) -> int:
    return segment.base_offset
