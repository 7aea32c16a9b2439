"""All codecs both ways, what others write, and no more output than was allowed."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData, InvariantBroken
from moldau.core.protocol.compression import CODECS, Codec, compress, decompress

PACKED = [codec for codec in CODECS if codec.number]
TEXT = b"the same words again and again, " * 4000


def test_numbers_and_names_are_kafkas() -> None:
    assert [(codec.number, codec.name) for codec in CODECS] == list(
        enumerate(["none", "gzip", "snappy", "lz4", "zstd"])
    )


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("data", [b"", b"x", TEXT], ids=["empty", "byte", "text"])
def test_round_trip(codec: Codec, data: bytes) -> None:
    packed = compress(codec.name, data)
    assert decompress(codec.number, packed) == data
    assert decompress(codec.number, memoryview(bytearray(packed))) == data


@pytest.mark.parametrize("codec", PACKED, ids=lambda codec: codec.name)
@settings(max_examples=20, deadline=None)
@given(data=st.binary(max_size=300), more=st.integers(1, 300))
def test_round_trip_of_any_bytes(codec: Codec, data: bytes, more: int) -> None:
    assert decompress(codec.number, compress(codec.name, data * more)) == data * more


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_the_bound_is_exact(codec: Codec) -> None:
    packed = compress(codec.name, TEXT)
    assert decompress(codec.number, packed, len(TEXT)) == TEXT
    with pytest.raises(CorruptData, match="more than"):
        decompress(codec.number, packed, len(TEXT) - 1)


@pytest.mark.parametrize("codec", PACKED, ids=lambda codec: codec.name)
def test_a_bomb_costs_no_more_than_its_bound(codec: Codec) -> None:
    bomb = compress(codec.name, bytes(20 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptData, match="more than"):
            decompress(codec.number, bomb, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", PACKED, ids=lambda codec: codec.name)
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=80))
def test_any_bytes_unpack_or_are_corrupt(codec: Codec, data: bytes) -> None:
    whole = compress(codec.name, b"some records" * 5)
    for broken in (data, whole[: len(data)], whole[: len(data)] + data, whole + data):
        try:
            assert len(decompress(codec.number, broken, 10_000)) <= 10_000
        except CorruptData:
            pass


@pytest.mark.parametrize("codec", PACKED, ids=lambda codec: codec.name)
def test_data_that_ends_early_is_corrupt(codec: Codec) -> None:
    packed = compress(codec.name, TEXT)
    for size in (len(packed) - 5, len(packed) // 2, 17):
        with pytest.raises(CorruptData):
            decompress(codec.number, packed[:size])


@pytest.mark.parametrize("codec", [codec for codec in PACKED if codec.name != "snappy"], ids=lambda codec: codec.name)
def test_nothing_is_not_a_stream(codec: Codec) -> None:
    with pytest.raises(CorruptData):
        decompress(codec.number, b"")


def test_snappy_is_written_in_xerials_framing() -> None:
    packed = compress("snappy", bytes(40_000))
    assert packed.startswith(b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
    first = struct.unpack_from(">i", packed, 16)[0]
    assert cramjam.snappy.decompress_raw_len(packed[20 : 20 + first]) == 32 * 1024


def test_raw_snappy_is_read_too_and_joined_streams() -> None:
    assert decompress(2, bytes(cramjam.snappy.compress_raw(TEXT))) == TEXT
    packed = compress("snappy", b"one ")
    assert decompress(2, packed + compress("snappy", b"two")) == b"one two"


def test_a_snappy_block_that_claims_more_than_there_is_is_corrupt() -> None:
    packed = bytearray(compress("snappy", TEXT[:1000]))
    packed[16:20] = (len(packed) - 19).to_bytes(4, "big")
    with pytest.raises(CorruptData, match="block is longer"):
        decompress(2, packed)


def test_gzip_members_are_joined() -> None:
    assert decompress(1, gzip.compress(b"one ") + gzip.compress(b"two")) == b"one two"


def test_lz4_frames_have_blocks_that_stand_alone() -> None:
    flags = compress("lz4", TEXT)[4]
    assert flags & 0xC0 == 0x40  # version 1
    assert flags & 0x20  # independent blocks: Kafka's reader refuses others


@pytest.mark.parametrize("number", [5, 6, 7, -1])
def test_numbers_without_a_codec_are_corrupt(number: int) -> None:
    with pytest.raises(CorruptData, match="no codec"):
        decompress(number, b"")


def test_a_name_without_a_codec_is_our_bug() -> None:
    with pytest.raises(InvariantBroken, match="brotli"):
        compress("brotli", b"")
