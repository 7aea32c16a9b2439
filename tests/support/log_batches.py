"""Record batches for tests of the log: uncompressed, with plain records, correct CRC.

Lives here: just enough of a producer to have something to append; the product's own builder is
`moldau.core.protocol.batch`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import google_crc32c

from moldau.core.protocol.batch import HEADER

TIMESTAMP = 1_700_000_000_000


class Sender(NamedTuple):
    """What makes a batch idempotent."""

    id: int = -1
    epoch: int = -1
    sequence: int = -1


NOBODY = Sender()


def make_batch(
    values: Sequence[bytes] = (b"value",),
    *,
    timestamp: int = TIMESTAMP,
    step_ms: int = 0,
    sender: Sender = NOBODY,
    attributes: int = 0,
    **changes: int,
) -> bytes:
    """One batch of keyless records, `step_ms` apart; `changes` replace header fields by what would be wrong.

    They are `base_offset`, `magic`, `delta`, `count`, `max_timestamp`.
    """
    records = b"".join(_record(n, step_ms * n, value) for n, value in enumerate(values))
    header = HEADER.pack(
        changes.pop("base_offset", 0),
        49 + len(records),
        -1,
        changes.pop("magic", 2),
        0,
        attributes,
        changes.pop("delta", len(values) - 1),
        timestamp,
        changes.pop("max_timestamp", timestamp + step_ms * (len(values) - 1)),
        *sender,
        changes.pop("count", len(values)),
    )
    assert not changes, changes
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
