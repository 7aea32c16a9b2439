"""Record batches made and read by hand, for tests: independent of the product's own code, uncompressed only."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import google_crc32c

# Base offset, length, leader epoch, magic, CRC; attributes, last offset delta, base and maximum timestamp, producer id,
# producer epoch, base sequence, count. The CRC covers byte 21 to the end.
HEAD = struct.Struct(">qiibI")
BODY = struct.Struct(">hiqqqhii")
CRC_START = HEAD.size


@dataclass(frozen=True, slots=True)
class Producer:
    """What makes a batch idempotent."""

    id: int = -1
    epoch: int = -1
    sequence: int = -1


@dataclass(frozen=True, slots=True)
class Record:
    """One stored record with its offset."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def build(values: Sequence[bytes], producer: Producer = Producer(), *, timestamp: int | None = None) -> bytes:
    """One batch with a record per value, as a producer sends it."""
    now = time.time_ns() // 1_000_000 if timestamp is None else timestamp
    records = b"".join(_record(index, value) for index, value in enumerate(values))
    body = BODY.pack(0, len(values) - 1, now, now, producer.id, producer.epoch, producer.sequence, len(values))
    return seal(body + records)


def seal(content: bytes) -> bytes:
    """The head, with a right CRC, before everything from the attributes on."""
    return HEAD.pack(0, len(content) + 9, -1, 2, google_crc32c.value(content)) + content


def read(data: bytes) -> Iterator[Record]:
    """Every record of the whole batches in `data`; a batch that was cut at the end is left out. Checks the CRC."""
    at = 0
    while at + HEAD.size <= len(data):
        base, length, _, magic, crc = HEAD.unpack_from(data, at)
        end = at + 12 + length
        if end > len(data):
            return
        content = data[at + CRC_START : end]
        assert magic == 2, f"magic {magic} at {at}"
        assert google_crc32c.value(content) == crc, f"wrong CRC in the batch at offset {base}"
        yield from _records(base, content)
        at = end


def _records(base: int, content: bytes) -> Iterator[Record]:
    attributes, _, first_timestamp, _, _, _, _, count = BODY.unpack_from(content)
    assert attributes & 7 == 0, "a compressed batch"
    at = BODY.size
    for _ in range(count):
        _, at = _varint(content, at)
        at += 1
        timestamp_delta, at = _varint(content, at)
        offset_delta, at = _varint(content, at)
        key, at = _bytes(content, at)
        value, at = _bytes(content, at)
        headers, at = _varint(content, at)
        for _ in range(headers):
            _, at = _bytes(content, at)
            _, at = _bytes(content, at)
        yield Record(base + offset_delta, first_timestamp + timestamp_delta, key, value)


def _record(offset_delta: int, value: bytes) -> bytes:
    content = b"\0" + _zigzag(0) + _zigzag(offset_delta) + _zigzag(-1) + _zigzag(len(value)) + value + _zigzag(0)
    return _zigzag(len(content)) + content


def _zigzag(value: int) -> bytes:
    raw = (value << 1) ^ (value >> 63)
    out = bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    out.append(raw)
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    raw = shift = 0
    while True:
        byte = data[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), at
        shift += 7


def _bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(data, at)
    if size < 0:
        return None, at
    return data[at : at + size], at + size
