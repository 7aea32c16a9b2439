"""Batches: built, read, and read hostile. Other libraries read what we build and build what we read."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import crc32c
import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData, InvariantBroken
from moldau.core.protocol.batch import (
    APPEND_TIME,
    CRC_FROM,
    HEADER,
    HEADER_SIZE,
    Producer,
    Record,
    RecordBatch,
    build_batch,
    checksum,
    read_batches,
)
from moldau.core.protocol.compression import CODECS
from moldau.core.protocol.primitives import zigzag

HEADER_FIELDS = tuple(RecordBatch.__annotations__)[:13]
NAMES = [codec.name for codec in CODECS]

octets = st.none() | st.binary(max_size=20)
records = st.lists(
    st.builds(
        Record,
        offset=st.just(0),
        timestamp=st.integers(0, 1 << 42),
        key=octets,
        value=octets,
        headers=st.lists(st.tuples(st.text(max_size=5), octets), max_size=3),
    ),
    min_size=1,
    max_size=20,
)


def numbered(made: list[Record], base: int) -> list[Record]:
    return [record._replace(offset=base + index) for index, record in enumerate(made)]


def plain(made: Any) -> list[tuple[Any, ...]]:
    return [(*record[:4], list(record.headers)) for record in made]


def sealed(data: bytes, **changed: int) -> bytes:
    """A batch with header fields changed and the checksum made right again."""
    head = dict(zip(HEADER_FIELDS, HEADER.unpack_from(data), strict=True)) | changed
    body = HEADER.pack(*head.values())[CRC_FROM:] + data[HEADER_SIZE:]
    return HEADER.pack(*(head | {"crc": checksum(body)}).values())[:CRC_FROM] + body


@pytest.mark.parametrize("compression", NAMES)
@settings(max_examples=25, deadline=None)
@given(made=records, base=st.integers(0, 1 << 60))
def test_round_trip(compression: str, made: list[Record], base: int) -> None:
    made = numbered(made, base)
    data = build_batch(made, base_offset=base, compression=compression)
    batch = RecordBatch(memoryview(bytearray(b"??" + data + b"??")), 2)
    assert batch.is_intact()
    assert plain(batch.records()) == plain(made)
    assert (batch.base_offset, batch.last_offset, batch.next_offset) == (base, made[-1].offset, made[-1].offset + 1)
    assert (batch.size, batch.count) == (len(data), len(made))
    assert batch.max_timestamp == max(record.timestamp for record in made)


def test_the_header_is_laid_out_as_kafka_lays_it_out() -> None:
    data = build_batch(
        [Record(7, 1000, b"k", b"v")],
        base_offset=7,
        leader_epoch=3,
        producer=Producer(11, 12, 13),
        transactional=True,
        control=True,
    )
    batch = RecordBatch(data)
    assert HEADER_SIZE == 61
    assert data[HEADER_SIZE:] == bytes.fromhex("10 00 00 00 02 6b 02 76 00")
    assert (batch.epoch, batch.magic, batch.attributes, batch.length) == (3, 2, 0x30, len(data) - 12)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (11, 12, 13)
    assert (batch.is_transactional, batch.is_control, batch.is_append_time, batch.codec) == (True, True, False, 0)
    assert struct.unpack_from(">I", data, 17)[0] == crc32c.crc32c(data[21:]) == batch.crc
    assert bytes(batch.data()) == data


def test_offsets_may_have_gaps() -> None:
    made = [Record(10, 1, None, b"a"), Record(14, 1, None, b"b")]
    batch = RecordBatch(build_batch(made, base_offset=10))
    assert [record.offset for record in batch.records()] == [10, 14]
    assert batch.next_offset == 15


def test_with_append_time_every_record_has_the_batchs_time() -> None:
    data = sealed(build_batch(numbered([Record(0, 5, None, b"")] * 2, 0)), attributes=APPEND_TIME, max_timestamp=99)
    assert [record.timestamp for record in RecordBatch(data).records()] == [99, 99]


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4])
def test_aiokafka_reads_ours_and_we_read_aiokafkas(compression: int) -> None:
    made = [Record(i, 1000 + i, b"k%d" % i, b"value" * i, [("h", b"x"), ("n", b"")]) for i in range(30)]
    theirs = DefaultRecordBatch(build_batch(made, compression=NAMES[compression]))
    assert theirs.validate_crc()
    read = [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in theirs]
    assert read == plain(made)
    builder = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1 << 20)
    for record in made:
        builder.append(record.offset, record.timestamp, record.key, record.value, list(record.headers))
    batch = RecordBatch(bytes(builder.build()))
    assert batch.is_intact()
    assert plain(batch.records()) == plain(made)


def test_batches_stand_one_behind_the_other() -> None:
    one, two = build_batch([Record(0, 1, None, b"a")]), build_batch([Record(1, 1, None, b"b")], base_offset=1)
    assert [batch.base_offset for batch in read_batches(one + two)] == [0, 1]
    assert list(read_batches(b"")) == []


@pytest.mark.parametrize("left", [1, 11, 12, 60, 61, 68])
def test_a_last_batch_that_is_cut_ends_a_fetch_and_breaks_a_log(left: int) -> None:
    data = build_batch([Record(0, 1, None, b"a")])
    assert left < len(data)
    assert len(list(read_batches(data + data[:left], cut_tail=True))) == 1
    with pytest.raises(CorruptData):
        list(read_batches(data + data[:left]))


def test_a_wrong_checksum_is_seen() -> None:
    data = bytearray(build_batch([Record(0, 1, None, b"a")]))
    data[0:8] = (5).to_bytes(8, "big")  # offset and epoch are not covered
    assert [batch.base_offset for batch in read_batches(data)] == [5]
    data[-1] ^= 1
    with pytest.raises(CorruptData, match="checksum of the batch at offset 5"):
        list(read_batches(data))
    assert len(list(read_batches(data, verify=False))) == 1


@pytest.mark.parametrize("changed", [{"magic": 1}, {"magic": 3}, {"length": 48}, {"length": -1}, {"length": 1 << 30}])
def test_a_header_that_cannot_be_is_corrupt(changed: dict[str, int]) -> None:
    with pytest.raises(CorruptData):
        RecordBatch(sealed(build_batch([Record(0, 1, None, b"a")]), **changed))


@pytest.mark.parametrize(
    ("count", "why"),
    [(0, "more than its records"), (2, "cannot hold 2"), (-1, "cannot hold -1"), (1 << 30, "cannot hold")],
)
def test_a_count_that_lies_is_corrupt(count: int, why: str) -> None:
    with pytest.raises(CorruptData, match=why):
        list(RecordBatch(sealed(build_batch([Record(0, 1, None, b"a")]), count=count)).records())


def body(*parts: bytes) -> bytes:
    joined = b"".join(parts)
    return zigzag(len(joined)) + joined


@pytest.mark.parametrize(
    "record",
    [
        body(b"\0\0\0\1\1\0") + b"x",  # something behind the last record
        body(b"\0\0\0\1\1\0x"),  # something behind the headers
        body(b"\0\0\0\1"),  # no value
        zigzag(-5) + b"\0\0\0\1\1\0",
        zigzag(500) + b"\0\0\0\1\1\0",
        body(b"\0\0\0\1", zigzag(1 << 29), b"\0"),
        body(b"\0\0\0\1\1", zigzag(-1)),  # a negative number of headers
        body(b"\0\0\0\1\1", zigzag(1 << 30)),
        body(b"\0\0\0\1\1", zigzag(1), zigzag(-1), zigzag(-1)),  # a header without a key
        body(b"\0", b"\xff" * 11, b"\0\1\1\0"),
    ],
)
def test_a_record_that_breaks_its_format_is_corrupt(record: bytes) -> None:
    head = build_batch([Record(0, 1, None, b"")])[:HEADER_SIZE]
    data = sealed(head + record, length=HEADER_SIZE - 12 + len(record))
    with pytest.raises(CorruptData):
        list(RecordBatch(data).records())


def test_a_compressed_batch_is_unpacked_within_a_bound() -> None:
    batch = RecordBatch(build_batch([Record(0, 1, None, bytes(100_000))], compression="zstd"))
    assert len(list(batch.records())) == 1
    with pytest.raises(CorruptData, match="more than"):
        list(batch.records(max_bytes=50_000))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32), noise=st.binary(max_size=100))
def test_mutated_batches_and_noise_read_or_are_corrupt(seed: int, noise: bytes) -> None:
    random = Random(seed)
    data = bytearray(build_batch([Record(i, i, b"k", b"v", [("h", b"x")]) for i in range(3)], compression="none"))
    for _ in range(random.randint(1, 5)):
        data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
    for hostile in (bytes(data), noise):
        try:
            for batch in read_batches(hostile, verify=False):
                list(batch.records(100_000))
        except CorruptData:
            pass


def test_a_batch_without_records_is_not_built() -> None:
    with pytest.raises(InvariantBroken):
        build_batch([])
