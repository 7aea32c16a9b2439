"""Keys and values out of batches: the same as the batch's own reader says, whatever is in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData
from moldau.core.coordinators import batches
from moldau.core.coordinators.batches import TransactionEnd
from moldau.core.coordinators.shard import StoredRecord
from moldau.core.protocol.batch import Producer, Record, RecordBatch, build_batch

OCTETS = st.one_of(st.binary(max_size=5), st.binary(min_size=60, max_size=70), st.just(bytes(20_000)))
RECORDS = st.lists(st.tuples(OCTETS, st.one_of(st.none(), OCTETS)), min_size=1, max_size=80)


@given(RECORDS, st.sampled_from(["none", "lz4"]))
def test_it_reads_what_the_full_reader_reads(contents: list[batches.Pair], compression: str) -> None:
    records = [Record(10 + at, 1000 * at, key, value, [("h", b"v")]) for at, (key, value) in enumerate(contents)]
    data = build_batch(records, base_offset=10, compression=compression)
    pairs = [(record.key, record.value) for record in RecordBatch(data).records()]
    assert batches.read(data).pairs == pairs == contents
    assert batches.read_plain(data) == (pairs if compression == "none" else None)


def test_what_is_built_is_a_good_batch() -> None:
    data = batches.build([StoredRecord(b"k", b"v"), StoredRecord(b"gone", None)], 123)
    batch = RecordBatch(data)
    assert batch.is_intact()
    assert list(batch.records()) == [Record(0, 123, b"k", b"v"), Record(1, 123, b"gone", None)]
    assert (batch.producer_id, batch.attributes, batch.size) == (-1, 0, len(data))


def test_a_record_without_a_key_has_an_empty_one() -> None:
    assert batches.read_plain(build_batch([Record(0, 1, None, b"v")])) == [(b"", b"v")]


def special(**how: Any) -> bytes:
    return build_batch([Record(0, 1, b"\0\0\0\1", b"v")], producer=Producer(7, 0, 0), **how)


def test_only_plain_batches_are_read_the_quick_way() -> None:
    assert batches.read_plain(special(transactional=True)) is None
    assert batches.read_plain(special(control=True)) is None
    contents = batches.read(special(transactional=True))
    assert (contents.producer_id, contents.is_transactional, contents.is_control) == (7, True, False)
    assert batches.read(special(control=True)).is_control


@pytest.mark.parametrize(
    ("key", "end"),
    [(b"\0\0\0\1", TransactionEnd.COMMIT), (b"\0\0\0\0", TransactionEnd.ABORT), (b"\0\0\0\2", None), (b"", None)],
)
def test_how_a_transaction_ends(key: bytes, end: TransactionEnd | None) -> None:
    data = build_batch([Record(0, 1, key, b"")], control=True)
    assert batches.transaction_end(batches.read(data)) is end


@given(st.integers(0, 200), st.integers(0, 255))
def test_broken_bytes_raise_or_read_but_never_more(at: int, byte: int) -> None:
    data = bytearray(batches.build([StoredRecord(b"key", b"value" * 20), StoredRecord(b"k", None)], 1))
    data[at % len(data)] = byte
    broken = bytes(data)
    pairs = batches.read_plain(broken)
    try:
        assert pairs is None or batches.read(broken).pairs == pairs
    except CorruptData:
        assert pairs is None


@pytest.mark.parametrize("cut", [0, 10, 60, 70, -1])
def test_a_batch_that_was_cut_is_corrupt(cut: int) -> None:
    data = batches.build([StoredRecord(b"key", b"value")], 1)[:cut]
    assert batches.read_plain(data) is None
    with pytest.raises(CorruptData):
        batches.read(data)


def test_a_length_without_an_end_is_corrupt() -> None:
    data = bytearray(batches.build([StoredRecord(b"key", b"value")], 1))
    data[61:67] = b"\xff" * 6
    with pytest.raises(CorruptData):
        batches.read(bytes(data))
