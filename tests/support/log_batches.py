"""Record batches for tests of the log: uncompressed, with plain records, correct CRC.

Lives here: just enough of a producer to have something to append; the product's own builder is
`moldau.core.protocol.batch`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import google_crc32c

from moldau.core.protocol.batch import HEADER

TIMESTAMP = 1_700_000_000_000


def make_batch(
    values: Sequence[bytes] = (b"value",),
    *,
    timestamp: int = TIMESTAMP,
    step_ms: int = 0,
    base_offset: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    sequence: int = -1,
    attributes: int = 0,
    count: int | None = None,
    delta: int | None = None,
    magic: int = 2,
    max_timestamp: int | None = None,
) -> bytes:
    """One batch of keyless records; what is given by name replaces what would be right."""
    records = b"".join(_record(n, step_ms * n, value) for n, value in enumerate(values))
    length = len(values)
    newest = timestamp + step_ms * (length - 1) if max_timestamp is None else max_timestamp
    header = HEADER.pack(
        base_offset,
        49 + len(records),
        -1,
        magic,
        0,
        attributes,
        length - 1 if delta is None else delta,
        timestamp,
        newest,
        producer_id,
        producer_epoch,
        sequence,
        length if count is None else count,
    )
    return with_crc(header + records)


def with_crc(batch: bytes) -> bytes:
    """The batch with the CRC that fits its bytes."""
    return batch[:17] + struct.pack(">I", google_crc32c.value(batch[21:])) + batch[21:]


def _record(offset_delta: int, timestamp_delta: int, value: bytes) -> bytes:
    body = (
        b"\0"
        + _varint(timestamp_delta)
        + _varint(offset_delta)
        + _varint(-1)
        + _varint(len(value))
        + value
        + _varint(0)
    )
    return _varint(len(body)) + body


def _varint(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
