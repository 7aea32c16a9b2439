"""Varints, their limits, and the skipping of tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData
from moldau.core.protocol import primitives
from moldau.core.protocol.primitives import (
    TextCache,
    array_tail,
    length_tail,
    lenient_text,
    long_text,
    read_uvarint,
    read_zigzag,
    read_zigzag64,
    skip_tags,
    uvarint,
    zigzag,
)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (16_384, "808001"), (0xFFFFFFFF, "ffffffff0f")],
)
def test_unsigned_varints(value: int, encoded: str) -> None:
    assert uvarint(value).hex() == encoded
    assert read_uvarint(bytes.fromhex("ee" + encoded), 1) == (value, 1 + len(encoded) // 2)


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (63, "7e"), (-65, "8101")]
)
def test_zigzag_varints(value: int, encoded: str) -> None:
    assert zigzag(value).hex() == encoded
    assert read_zigzag(bytes.fromhex(encoded), 0) == (value, len(encoded) // 2)


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_zigzag_round_trip_of_64_bits(value: int) -> None:
    encoded = zigzag(value)
    assert read_zigzag64(memoryview(encoded), 0) == (value, len(encoded))


@given(st.integers(-(1 << 31), (1 << 31) - 1))
def test_zigzag_round_trip_of_32_bits(value: int) -> None:
    encoded = zigzag(value)
    assert read_zigzag(encoded, 0) == (value, len(encoded))


@pytest.mark.parametrize("read", [read_uvarint, read_zigzag])
def test_a_varint_of_more_than_five_bytes_is_corrupt(read: object) -> None:
    with pytest.raises(CorruptData, match="longer"):
        read(b"\xff\xff\xff\xff\xff\x01", 0)  # type: ignore[operator]


def test_a_varint_that_ends_early_is_an_index_error_for_the_codec_to_translate() -> None:
    with pytest.raises(IndexError):
        read_uvarint(b"\xff\xff", 0)
    with pytest.raises(IndexError):
        read_zigzag64(b"\xff\xff", 0)


def test_a_length_that_java_would_see_as_negative_is_null() -> None:
    assert length_tail(b"\xff\xff\xff\x0f", 0, 0xFF) == (0, 4)
    assert length_tail(b"\xff\xff\xff\x07", 0, 0xFF) == (0x7FFFFFFF, 4)


def test_a_string_has_at_most_32767_bytes() -> None:
    text = "x" * 32_767
    assert long_text(b"-" + uvarint(32_768) + text.encode(), 1, 0x80) == (text, 4 + 32_767)
    with pytest.raises(CorruptData, match="too long"):
        long_text(uvarint(32_769) + bytes(40_000), 0, 0x81)


def test_compact_strings_of_any_length_and_null() -> None:
    assert long_text(b"\x03ab", 0, 3) == ("ab", 3)
    assert long_text(b"\x00", 0, 0) == (None, 1)
    assert long_text(b"\xff\xff\xff\xff\x0f", 0, 0xFF) == (None, 5)
    assert lenient_text(memoryview(b"\x03a\xff"), 0, 3) == ("a\ufffd", 3)
    with pytest.raises(UnicodeDecodeError):
        long_text(b"\x03a\xff", 0, 3)


def test_an_array_has_at_most_a_million_items() -> None:
    count = uvarint(1_000_001)
    assert array_tail(count, 1, count[0]) == (1_000_001, 3)
    with pytest.raises(CorruptData, match="too long"):
        array_tail(uvarint(1_000_002), 1, uvarint(1_000_002)[0])


@pytest.mark.parametrize(("compact", "encoded"), [(True, b"\x04n\xc3\xa9"), (False, b"\x00\x03n\xc3\xa9")])
def test_texts_are_encoded_once(compact: bool, encoded: bytes) -> None:
    texts = TextCache(compact=compact)
    assert texts["n\u00e9"] == encoded
    assert texts["n\u00e9"] is texts["n\u00e9"]


def test_the_cache_of_texts_is_bounded_in_number_and_length() -> None:
    texts = TextCache(compact=True)
    for number in range(10_000):
        assert texts[str(number)][1:] == str(number).encode()
        assert len(texts) <= TextCache.MOST
    assert texts["x" * 32_767][:3] == uvarint(32_768)
    assert max(map(len, texts)) <= TextCache.LONGEST


def test_a_cache_of_texts_refuses_what_kafka_would() -> None:
    with pytest.raises(ValueError, match="too long"):
        TextCache(compact=False)["x" * 32_768]
    with pytest.raises(UnicodeEncodeError):
        TextCache(compact=True)["\udcff"]
    with pytest.raises(AttributeError):
        TextCache(compact=True)[None]  # type: ignore[index]
    assert TextCache(compact=True, errors="replace")["\udcff"] == b"\x02?"


def test_tags_are_skipped_by_their_size() -> None:
    section = b"\x05\x02ab" + b"\x80\x01\x00" + b"rest"
    assert skip_tags(section, 0, 2, len(section)) == 7


def test_hostile_tag_sections_are_refused() -> None:
    with pytest.raises(CorruptData, match="longer"):
        skip_tags(b"\x00\x7f", 0, 1, 2)
    with pytest.raises(CorruptData, match="too many"):
        skip_tags(uvarint(10_001)[1:], 0, uvarint(10_001)[0], 100)


def test_ready_readers_and_writers_agree() -> None:
    pack, unpack = primitives.number_writers("i"), primitives.number_readers("i")
    numbers = (1, -2, 3)
    assert unpack[3](pack[3](*numbers), 0) == numbers
    assert primitives.text_readers()[3](b"xabc", 1) == (b"abc",)
    assert primitives.compact_text_readers()[3](b"x\x03ab", 1) == (b"ab",)
