"""Batches of a coordinator's log: records to bytes, and, as fast as we can, bytes to keys and values.

A replay reads every batch of the log and needs nothing of a record but its key and value, so this reads just those.
What never lives here: what keys and values mean.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

import google_crc32c

from moldau.core.base.errors import CorruptData
from moldau.core.coordinators.shard import StoredRecord

HEADER = struct.Struct(">qiibIhiqqqhii")
CODEC_MASK = 0x07
TRANSACTIONAL = 0x10
CONTROL = 0x20
_CONTROL_KEY = struct.Struct(">hh")


class TransactionEnd(IntEnum):
    """The types of control records that end a transaction."""

    ABORT = 0
    COMMIT = 1


class Contents(NamedTuple):
    """What a replay needs of a batch."""

    producer_id: int
    is_transactional: bool
    is_control: bool
    records: list[StoredRecord]


def build(records: list[StoredRecord], wall_ms: int) -> bytes:
    """One uncompressed batch; its offsets are the log's to assign."""
    body = bytearray()
    for delta, (key, value) in enumerate(records):
        record = bytearray(b"\x00\x00")
        _put_varint(record, delta)
        _put_varint(record, len(key))
        record += key
        _put_varint(record, -1 if value is None else len(value))
        record += value or b""
        record.append(0)
        _put_varint(body, len(record))
        body += record
    tail = struct.pack(">hiqqqhii", 0, len(records) - 1, wall_ms, wall_ms, -1, -1, -1, len(records)) + body
    crc = google_crc32c.value(bytes(tail))
    return struct.pack(">qiibI", 0, len(tail) + 9, 0, 2, crc) + tail


def _put_varint(out: bytearray, value: int) -> None:
    number = (value << 1) ^ (value >> 63)
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def read(batch: bytes) -> Contents:
    """Keys and values of one stored batch. Raises CorruptData."""
    if len(batch) < HEADER.size:
        raise CorruptData(f"a batch of {len(batch)} bytes is shorter than its header")
    (_, _, _, _, _, attributes, _, _, _, producer_id, _, _, count) = HEADER.unpack_from(batch)
    data, position = batch, HEADER.size
    try:
        records = _read_records(data, position, count)
    except IndexError:
        raise CorruptData("a record goes past the end of its batch") from None
    return Contents(producer_id, bool(attributes & TRANSACTIONAL), bool(attributes & CONTROL), records)


def transaction_end(contents: Contents) -> TransactionEnd | None:
    """How a control batch ends its producer's transaction; None for control records of another kind."""
    for key, _ in contents.records:
        if len(key) >= _CONTROL_KEY.size:
            _, kind = _CONTROL_KEY.unpack_from(key)
            if kind in (TransactionEnd.ABORT, TransactionEnd.COMMIT):
                return TransactionEnd(kind)
    return None


def _read_records(data: bytes, position: int, count: int) -> list[StoredRecord]:
    # | length | attributes 1 | timestamp delta | offset delta | key length | key | value length | value | headers |
    # Lengths are zig-zag varints: one byte up to 63, which most are. Nothing behind the value is read.
    records = []
    end = len(data)
    for _ in range(count):
        size = data[position]
        position += 1
        if size > 0x7F:
            size, position = _varint(data, position - 1)
        after = position + (size >> 1)
        position += 1
        while data[position] > 0x7F:
            position += 1
        position += 1
        while data[position] > 0x7F:
            position += 1
        position += 1
        size = data[position]
        position += 1
        if size > 0x7F:
            size, position = _varint(data, position - 1)
        if size & 1:
            key = b""
        else:
            size >>= 1
            key = data[position : position + size]
            position += size
        size = data[position]
        position += 1
        if size > 0x7F:
            size, position = _varint(data, position - 1)
        value = None if size & 1 else data[position : position + (size >> 1)]
        if position > after or after > end:
            raise IndexError
        records.append(StoredRecord(key, value))
        position = after
    return records


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """An unsigned varint of up to five bytes, and the position behind it."""
    number = shift = 0
    while shift < 35:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
    raise CorruptData("a length of more than five bytes")
