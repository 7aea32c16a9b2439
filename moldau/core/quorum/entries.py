"""Batches of the metadata log and its snapshots: entries in, stored batches out, and back.

An entry is an opaque value for the state machine, or a control record for the quorum itself. A control record's
key is two numbers, its own version and the kind of record; the value is the kind's message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from moldau.core.base.errors import CorruptData
from moldau.core.protocol import codec
from moldau.core.protocol.batch import Record, RecordBatch, build_batch, read_batches
from moldau.core.protocol.stored.raft import (
    KRaftVersionRecord,
    LeaderChangeMessage,
    SnapshotFooterRecord,
    SnapshotHeaderRecord,
    VotersRecord,
)

_KEY = struct.Struct(">hh")  # version of this key, kind of the record
_VERSION = 0  # every message of a control record is written in this version


class ControlType(IntEnum):
    """Kinds of control records that the quorum writes; Kafka's numbers (0 and 1 end transactions)."""

    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


_MESSAGES: dict[ControlType, type[Any]] = {
    ControlType.LEADER_CHANGE: LeaderChangeMessage,
    ControlType.SNAPSHOT_HEADER: SnapshotHeaderRecord,
    ControlType.SNAPSHOT_FOOTER: SnapshotFooterRecord,
    ControlType.KRAFT_VERSION: KRaftVersionRecord,
    ControlType.KRAFT_VOTERS: VotersRecord,
}


class Entry(NamedTuple):
    """One stored batch: `values` for the state machine, or `control` records. They take effect together."""

    last_offset: int
    epoch: int
    timestamp_ms: int
    values: Sequence[bytes]
    control: Sequence[tuple[ControlType, Any]]

    def has(self, kind: ControlType) -> bool:
        return any(found is kind for found, _ in self.control)


def data_batch(values: Sequence[bytes], base_offset: int, epoch: int, now_ms: int) -> bytes:
    """A batch of entries for the state machine."""
    records = [Record(offset, now_ms, None, value) for offset, value in enumerate(values, base_offset)]
    return build_batch(records, base_offset=base_offset, leader_epoch=epoch)


def control_batch(records: Sequence[tuple[ControlType, Any]], base_offset: int, epoch: int, now_ms: int) -> bytes:
    """A batch of control records."""
    encoded = [
        Record(offset, now_ms, _KEY.pack(0, kind), codec.encoder(_MESSAGES[kind], _VERSION)(message))
        for offset, (kind, message) in enumerate(records, base_offset)
    ]
    return build_batch(encoded, base_offset=base_offset, leader_epoch=epoch, control=True)


def read_entries(stored: bytes) -> Iterator[Entry]:
    """The entries of whole stored batches, checksums checked. Raises CorruptData."""
    for batch in read_batches(stored):
        yield _read(batch)


def _read(batch: RecordBatch) -> Entry:
    if batch.is_control:
        control = [found for record in batch.records() if (found := _control(record)) is not None]
        return Entry(batch.last_offset, batch.epoch, batch.max_timestamp, (), control)
    values: list[bytes] = []
    for record in batch.records():
        if record.value is None:
            raise CorruptData(f"entry {record.offset} of the metadata is null")
        values.append(record.value)
    return Entry(batch.last_offset, batch.epoch, batch.max_timestamp, values, ())


def _control(record: Record) -> tuple[ControlType, Any] | None:
    """None for a kind that is not the quorum's."""
    key, value = record.key, record.value
    if key is None or value is None or len(key) < _KEY.size:
        raise CorruptData(f"control record {record.offset} of the metadata has no kind")
    number = _KEY.unpack_from(key)[1]
    if number not in ControlType.__members__.values():
        return None
    kind = ControlType(number)
    return kind, codec.decoder(_MESSAGES[kind], _VERSION)(value, 0, len(value))[0]
