"""Record batches, version 2: the only form in which records exist on the wire and on the disk.

    base offset     int64    \\
    length          int32     | may be rewritten without a new checksum
    leader epoch    int32     |
    magic           int8 = 2 /
    crc             uint32   CRC-32C of everything behind it
    attributes      int16    bits 0-2 codec, 3 append time, 4 transactional, 5 control, 6 delete horizon
    last offset delta int32 | base timestamp int64 | max timestamp int64
    producer id     int64 | producer epoch int16 | base sequence int32
    count           int32    then the records, packed by the codec as one

`length` counts from the leader epoch on. Inside, every number is a zig-zag varint. Records are read only where a rule
needs them; what carries batches from clients to the disk and back works on HEADER alone. What never lives here: rules
of a partition, offsets to assign.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import google_crc32c

from moldau.core.base.errors import CorruptData, InvariantBroken
from moldau.core.protocol import compression as codecs
from moldau.core.protocol.primitives import Buffer, read_zigzag, read_zigzag64, zigzag

HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_SIZE = HEADER.size
LENGTH_FROM = 12  # `length` counts the bytes behind this position
CRC_FROM = 21  # the checksum covers the bytes behind this position
MAGIC = 2

CODEC_MASK = 0x07
APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20
DELETE_HORIZON = 0x40

NO_TIMESTAMP = -1

_LEAST_RECORD = 7  # length, attributes, two deltas, key and value length, header count
_LEAST_HEADER = 2

Headers = Sequence[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record; `offset` is absolute, `timestamp` in milliseconds since the epoch."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Producer(NamedTuple):
    """Who produced a batch, and the sequence of its first record."""

    id: int
    epoch: int
    sequence: int


NO_PRODUCER = Producer(-1, -1, -1)


class RecordBatch:
    """A view of one stored batch; nothing is copied and the checksum is not looked at before it is asked for."""

    __slots__ = (
        "attributes",
        "base_offset",
        "base_sequence",
        "base_timestamp",
        "buffer",
        "count",
        "crc",
        "epoch",
        "last_offset_delta",
        "length",
        "magic",
        "max_timestamp",
        "position",
        "producer_epoch",
        "producer_id",
    )

    base_offset: int
    length: int
    epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int
    buffer: Buffer
    position: int

    def __init__(self, buffer: Buffer, position: int = 0) -> None:
        """Raises CorruptData if no whole version 2 batch starts at `position`."""
        if len(buffer) - position < HEADER_SIZE:
            raise CorruptData("a batch ends before its header does")
        (
            self.base_offset,
            self.length,
            self.epoch,
            self.magic,
            self.crc,
            self.attributes,
            self.last_offset_delta,
            self.base_timestamp,
            self.max_timestamp,
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
            self.count,
        ) = HEADER.unpack_from(buffer, position)
        self.buffer = buffer
        self.position = position
        if self.magic != MAGIC:
            raise CorruptData(f"a batch has magic {self.magic}, not {MAGIC}")
        if self.length < HEADER_SIZE - LENGTH_FROM or self.size > len(buffer) - position:
            raise CorruptData(f"a batch of length {self.length} does not fit what holds it")

    @property
    def size(self) -> int:
        """All its bytes."""
        return self.length + LENGTH_FROM

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        """The number of its codec, see `compression`."""
        return self.attributes & CODEC_MASK

    @property
    def is_append_time(self) -> bool:
        return self.attributes & APPEND_TIME != 0

    @property
    def is_transactional(self) -> bool:
        return self.attributes & TRANSACTIONAL != 0

    @property
    def is_control(self) -> bool:
        return self.attributes & CONTROL != 0

    def data(self) -> memoryview:
        """The whole batch."""
        return memoryview(self.buffer)[self.position : self.position + self.size]

    def is_intact(self) -> bool:
        """Whether the checksum is right."""
        return checksum(self.data()[CRC_FROM:]) == self.crc

    def records(self, max_bytes: int = codecs.MAX_DECOMPRESSED) -> Iterator[Record]:
        """Its records, unpacked to `max_bytes` at most. Raises CorruptData where one is broken."""
        packed = bytes(self.data()[HEADER_SIZE:])
        data = codecs.decompress(self.codec, packed, max_bytes) if self.codec else packed
        if self.count < 0 or self.count * _LEAST_RECORD > len(data):
            raise CorruptData(f"a batch of {len(data)} bytes cannot hold {self.count} records")
        return self._read(data)

    def _read(self, data: bytes) -> Iterator[Record]:
        position = 0
        for _ in range(self.count):
            try:
                record, position = self._record(data, position)
            except IndexError:
                raise CorruptData("a record is longer than its batch") from None
            yield record
        if position != len(data):
            raise CorruptData("a batch holds more than its records")

    def _record(self, data: bytes, position: int) -> tuple[Record, int]:
        length, position = read_zigzag(data, position)
        stop = position + length
        if length < 0 or stop > len(data):
            raise CorruptData("a record is longer than its batch")
        position += 1  # attributes: none is defined
        timestamp_delta, position = read_zigzag64(data, position)
        offset_delta, position = read_zigzag(data, position)
        key, position = _octets(data, position)
        value, position = _octets(data, position)
        count, position = read_zigzag(data, position)
        headers: Headers = ()
        if count:
            headers, position = _headers(data, position, count)
        if position != stop:
            raise CorruptData("a record has another length than it says")
        timestamp = self.max_timestamp if self.is_append_time else self.base_timestamp + timestamp_delta
        return Record(self.base_offset + offset_delta, timestamp, key, value, headers), stop


def _octets(data: bytes, position: int) -> tuple[bytes | None, int]:
    length, position = read_zigzag(data, position)
    if length < 0:
        return None, position
    stop = position + length
    if stop > len(data):
        raise CorruptData("a key or value is longer than its batch")
    return data[position:stop], stop


def _headers(data: bytes, position: int, count: int) -> tuple[Headers, int]:
    if count < 0 or count * _LEAST_HEADER > len(data) - position:
        raise CorruptData(f"a record cannot hold {count} headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        key, position = _octets(data, position)
        if key is None:
            raise CorruptData("a record header without a key")
        value, position = _octets(data, position)
        headers.append((key.decode("utf-8", "replace"), value))
    return headers, position


def checksum(data: Buffer) -> int:
    """CRC-32C, as batches carry it."""
    return int(google_crc32c.value(data if isinstance(data, bytes) else bytes(data)))


def read_batches(buffer: Buffer, *, cut_tail: bool = False, verify: bool = True) -> Iterator[RecordBatch]:
    """The batches that stand one behind the other in a buffer.

    With `cut_tail` (the answer to a Fetch) a last batch that is not whole ends the iteration; else it is corrupt.
    """
    position = 0
    while position < len(buffer):
        rest = len(buffer) - position
        if cut_tail and (rest < HEADER_SIZE or rest < LENGTH_FROM + HEADER.unpack_from(buffer, position)[1]):
            return
        batch = RecordBatch(buffer, position)
        if verify and not batch.is_intact():
            raise CorruptData(f"the checksum of the batch at offset {batch.base_offset} is wrong")
        yield batch
        position += batch.size


def build_batch(
    records: Sequence[Record],
    *,
    base_offset: int = 0,
    leader_epoch: int = 0,
    compression: str = "none",
    producer: Producer = NO_PRODUCER,
    transactional: bool = False,
    control: bool = False,
) -> bytes:
    """One batch of records whose absolute offsets ascend from `base_offset`; CreateTime timestamps."""
    if not records:
        raise InvariantBroken("a batch has records")
    base_timestamp = records[0].timestamp
    parts: list[bytes] = []
    for record in records:
        body = _encode(record, record.timestamp - base_timestamp, record.offset - base_offset)
        parts += (zigzag(len(body)), body)
    codec = codecs.by_name(compression)
    data = codec.compress(b"".join(parts))
    attributes = codec.number | (TRANSACTIONAL if transactional else 0) | (CONTROL if control else 0)
    last_delta = records[-1].offset - base_offset
    max_timestamp = max(record.timestamp for record in records)
    head = HEADER.pack(
        base_offset,
        HEADER_SIZE - LENGTH_FROM + len(data),
        leader_epoch,
        MAGIC,
        0,
        attributes,
        last_delta,
        base_timestamp,
        max_timestamp,
        *producer,
        len(records),
    )
    covered = head[CRC_FROM:] + data
    return head[: CRC_FROM - 4] + checksum(covered).to_bytes(4, "big") + covered


def _encode(record: Record, timestamp_delta: int, offset_delta: int) -> bytes:
    parts = [b"\0", zigzag(timestamp_delta), zigzag(offset_delta)]
    for octets in (record.key, record.value):
        parts += (b"\1",) if octets is None else (zigzag(len(octets)), octets)
    parts.append(zigzag(len(record.headers)))
    for key, value in record.headers:
        name = key.encode()
        parts += (zigzag(len(name)), name)
        parts += (b"\1",) if value is None else (zigzag(len(value)), value)
    return b"".join(parts)
