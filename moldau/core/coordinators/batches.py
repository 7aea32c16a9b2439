"""Batches of a coordinator's log: records to bytes, and, as fast as we can, bytes to keys and values.

A replay reads every batch of the log and needs nothing of a record but its key and value, so this reads just those.
What never lives here: what keys and values mean.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from moldau.core.base.errors import CorruptData
from moldau.core.coordinators.shard import StoredRecord
from moldau.core.protocol.batch import (
    CODEC_MASK,
    CONTROL,
    HEADER,
    HEADER_SIZE,
    LENGTH_FROM,
    MAGIC,
    TRANSACTIONAL,
    Record,
    RecordBatch,
    build_batch,
)
from moldau.core.protocol.compression import MAX_DECOMPRESSED, decompress

NOT_PLAIN = CODEC_MASK | TRANSACTIONAL | CONTROL

_CONTROL_KEY = struct.Struct(">hh")  # version, type


class TransactionEnd(IntEnum):
    """The types of control records that end a transaction."""

    ABORT = 0
    COMMIT = 1


Pair = tuple[bytes, bytes | None]


class Contents(NamedTuple):
    """What a replay needs of a batch."""

    producer_id: int
    is_transactional: bool
    is_control: bool
    pairs: list[Pair]


def build(records: list[StoredRecord], wall_ms: int) -> bytes:
    """One uncompressed batch; its offsets are the log's to assign."""
    return build_batch([Record(delta, wall_ms, key, value) for delta, (key, value) in enumerate(records)])


def read_plain(data: bytes) -> list[Pair] | None:
    """Keys and values of a stored batch; None for one that is compressed, transactional or broken: `read` it."""
    if len(data) < HEADER_SIZE:
        return None
    header = HEADER.unpack_from(data)
    end = header[1] + LENGTH_FROM
    if header[3] != MAGIC or header[5] & NOT_PLAIN or end > len(data):
        return None
    try:
        return _read_pairs(data, HEADER_SIZE, end, header[12])
    except IndexError:
        return None


def read(data: bytes) -> Contents:
    """Any stored batch. Raises CorruptData."""
    batch = RecordBatch(data)
    position, end = HEADER_SIZE, batch.size
    if batch.codec:
        data = decompress(batch.codec, data[HEADER_SIZE:end], MAX_DECOMPRESSED)
        position, end = 0, len(data)
    try:
        pairs = _read_pairs(data, position, end, batch.count)
    except IndexError:
        raise CorruptData(f"a record goes past the end of the batch at offset {batch.base_offset}") from None
    return Contents(batch.producer_id, batch.is_transactional, batch.is_control, pairs)


def transaction_end(contents: Contents) -> TransactionEnd | None:
    """How a control batch ends its producer's transaction; None for control records of another kind."""
    for key, _ in contents.pairs:
        if len(key) >= _CONTROL_KEY.size:
            _, kind = _CONTROL_KEY.unpack_from(key)
            if kind in (TransactionEnd.ABORT, TransactionEnd.COMMIT):
                return TransactionEnd(kind)
    return None


def _read_pairs(data: bytes, position: int, end: int, count: int) -> list[Pair]:
    # | length | attributes 1 | timestamp delta | offset delta | key length | key | value length | value | headers |
    # Numbers are zig-zag varints: one byte up to 63, which most are. Nothing behind the value is read.
    pairs: list[Pair] = []
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
        size = data[position + 1]
        position += 2
        if size > 0x7F:
            size, position = _varint(data, position - 1)
        key_end = position if size & 1 else position + (size >> 1)
        size = data[key_end]
        value_at = key_end + 1
        if size > 0x7F:
            size, value_at = _varint(data, key_end)
        value_end = value_at if size & 1 else value_at + (size >> 1)
        if value_end > after or after > end:
            raise IndexError
        pairs.append((data[position:key_end], None if size & 1 else data[value_at:value_end]))
        position = after
    return pairs


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
