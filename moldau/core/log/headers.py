"""Hopping over stored batches by their 61-byte headers, without decoding a record.

Lives here: the scan that recovery, look-ups and truncation share. The header's layout is
`core.protocol.batch`'s. Nothing here changes a file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import google_crc32c

from moldau.core.base.files import Files
from moldau.core.base.options import KIB, MIB
from moldau.core.protocol.batch import CRC_FROM, HEADER, HEADER_SIZE, LENGTH_FROM, MAGIC

HEAD = struct.Struct(">qiibI")  # what the broker writes anew: everything ahead of what the CRC covers
PREFIX = struct.Struct(">qi")

CODEC_LAST: Final = 4

# base offset, length, epoch, magic, crc, attributes, last offset delta, base timestamp, max timestamp,
# producer id, producer epoch, base sequence, count
Header = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int]

# A scan reads everything, a hop to one batch only what stands between two index entries.
SCAN_CHUNK = MIB
HOP_CHUNK = 16 * KIB


class BatchScan:
    """Iterates (position, size, header) over the whole batches between two positions of a file.

    Ends at the first byte that does not begin a whole valid batch: `position` is then where that is, and
    `problem` says what is wrong, or is None at the end. With `check`, CRCs and the order of offsets are verified.
    """

    def __init__(self, files: Files, handle: int, start: int, end: int, *, check: bool, next_offset: int = 0) -> None:
        self._files = files
        self._handle = handle
        self._end = end
        self._check = check
        self._chunk = SCAN_CHUNK if check else HOP_CHUNK
        self.position = start
        self.next_offset = next_offset
        self.problem: str | None = None

    def __iter__(self) -> Iterator[tuple[int, int, Header]]:
        unpack, crc32c, check = HEADER.unpack_from, google_crc32c.value, self._check
        chunk, chunk_start = b"", self.position
        position, end = self.position, self._end
        while position < end:
            begin = position - chunk_start
            available = len(chunk) - begin
            if available < HEADER_SIZE:
                chunk, chunk_start, begin = self._read(position, self._chunk), position, 0
                available = len(chunk)
                if available < HEADER_SIZE:
                    self.problem = "the file ends within a batch's header"
                    return
            header: Header = unpack(chunk, begin)
            base_offset, length, _, magic, crc, _, delta, _, _, _, _, _, _ = header
            size = length + LENGTH_FROM
            if magic != MAGIC or size < HEADER_SIZE or delta < 0:
                self.problem = "what stands there is not the header of a batch"
                return
            if position + size > end:
                self.problem = "the file ends within a batch"
                return
            if check:
                if base_offset < self.next_offset:
                    self.problem = f"offset {base_offset} stands behind offset {self.next_offset - 1}"
                    return
                if available < size:
                    chunk, chunk_start, begin = self._read(position, max(size, self._chunk)), position, 0
                if crc32c(chunk[begin + CRC_FROM : begin + size]) != crc:
                    self.problem = "the batch does not match its checksum"
                    return
            self.next_offset = base_offset + delta + 1
            yield position, size, header
            position += size
            self.position = position

    def _read(self, position: int, size: int) -> bytes:
        return self._files.pread(self._handle, min(size, self._end - position), position)
