"""Hostile input: any bytes give a value or CorruptData, and nothing is allocated on the word of a length."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData
from moldau.core.protocol import codec
from moldau.core.protocol.compile_decoder import LARGE, array_depth, holds_records, smallest
from moldau.core.protocol.messages.fetch import FetchRequest, FetchResponse
from moldau.core.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)
from moldau.core.protocol.messages.offset_fetch import OffsetFetchRequest
from moldau.core.protocol.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from moldau.core.protocol.primitives import uvarint
from moldau.core.protocol.schema import schema_of
from tests.support import messages
from tests.support.sample import Item, Sample, full

# Lengths that claim far more than there is, in every form a length has.
HUGE = (b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07", b"\x7f\xff\xff\xff", b"\x7f\xff", b"\xff\xff\xff\x7f")


def survives(decode: Callable[..., Any], frame: bytes) -> bool:
    """Whether a frame decodes. CorruptData is the only exception that is let through as a no."""
    held = bytearray(b"\xff" * 8 + frame + b"\x7f" * 64)
    try:
        _, stop = decode(memoryview(held), 8, 8 + len(frame))
    except CorruptData:
        return False
    assert 8 <= stop <= 8 + len(frame)
    return True


def mutate(frame: bytes, random: Random) -> bytes:
    """A frame with some bytes changed, cut, doubled or replaced by a huge length."""
    data = bytearray(frame or b"\0")
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(data) + 1)
        kind = random.randrange(5)
        if kind == 0 and place < len(data):
            data[place] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[place:place] = data[place : place + 8]
        elif kind == 3:
            data[place : place + 4] = random.choice(HUGE)
        else:
            data[place:place] = random.randbytes(3)
    return bytes(data)


@pytest.mark.parametrize("cls", [*messages.ALL, Sample], ids=lambda cls: cls.__name__)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1 << 32), noise=st.binary(max_size=64))
def test_mutated_frames_and_noise_decode_or_are_corrupt(cls: type[Any], seed: int, noise: bytes) -> None:
    random = Random(seed)
    for version in messages.versions_of(cls):
        decode = codec.decoder(cls, version)
        frame = codec.encoder(cls, version)(messages.arbitrary(cls, version, random))
        assert survives(decode, frame)
        survives(decode, mutate(frame, random))
        survives(decode, noise)


def test_a_decoder_that_leaks_another_exception_would_be_seen() -> None:
    def careless(buffer: Any, start: int, end: int) -> tuple[Any, int]:
        return buffer[end + 1000], start

    with pytest.raises(IndexError):
        survives(careless, b"abc")


def peak(decode: Callable[..., Any], frame: bytes) -> int:
    """The most memory that decoding a frame held, in bytes."""
    survives(decode, frame)  # makes what is made once: the careful decoder
    tracemalloc.start()
    try:
        survives(decode, frame)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cls", [ProduceRequest, FetchRequest, FetchResponse, MetadataRequest, Sample])
def test_no_length_is_believed(cls: type[Any]) -> None:
    for version in messages.versions_of(cls)[:: 1 if cls is Sample else 8]:
        decode = codec.decoder(cls, version)
        frame = codec.encoder(cls, version)(messages.arbitrary(cls, version, Random(5)))[:120]
        for place in range(len(frame)):
            for length in HUGE[:3]:
                assert peak(decode, frame[:place] + length + frame[place + len(length) :]) < 50_000


def test_a_believed_length_would_be_seen() -> None:
    assert peak(lambda buffer, start, end: ([0] * 100_000, start), b"") > 50_000


def test_every_shorter_frame_is_corrupt() -> None:
    for version in messages.versions_of(Sample):
        whole = codec.encoder(Sample, version)(full() if version == 2 else Sample())
        decode = codec.decoder(Sample, version)
        assert survives(decode, whole)
        assert not any(survives(decode, whole[:size]) for size in range(len(whole)))


@pytest.mark.parametrize(("version", "count"), [(8, struct.pack(">i", 1_000_001)), (9, uvarint(1_000_002))])
def test_an_array_has_a_million_items_at_most(version: int, count: bytes) -> None:
    frame = count + bytes(2_100_000)
    with pytest.raises(CorruptData, match=r"more items|too long"):
        codec.decoder(MetadataRequest, version)(frame, 0, len(frame))


@pytest.mark.parametrize("version", [8, 9])
def test_the_items_of_all_arrays_of_a_request_are_counted(version: int) -> None:
    def request(partitions: int) -> tuple[Any, bytes]:
        topics = [TopicProduceData("t", partition_data=[PartitionProduceData()] * 100)] * (partitions // 100)
        made = ProduceRequest(topic_data=topics)
        return made, codec.encoder(ProduceRequest, version)(made)

    made, frame = request(30_000)
    assert codec.decoder(ProduceRequest, version)(frame, 0, len(frame)) == (made, len(frame))
    _, frame = request(310_000)
    with pytest.raises(CorruptData, match="too many items in all"):
        codec.decoder(ProduceRequest, version)(frame, 0, len(frame))


def test_responses_may_have_any_number_of_items() -> None:
    answer = MetadataResponse(topics=[MetadataResponseTopic()] * 310_000)
    frame = codec.encoder(MetadataResponse, 1)(answer)
    assert len(codec.decoder(MetadataResponse, 1)(frame, 0, len(frame))[0].topics) == 310_000


def test_large_frames_decode_like_small_ones() -> None:
    for cls in (ProduceRequest, MetadataRequest, FetchRequest, OffsetFetchRequest, Sample):
        for version in messages.versions_of(cls):
            frame = codec.encoder(cls, version)(messages.arbitrary(cls, version, Random(9)))
            small = codec.decoder(cls, version)(frame, 0, len(frame))
            padded = frame + bytes(LARGE)
            assert codec.decoder(cls, version)(padded, 0, len(padded)) == small


def test_a_count_is_checked_against_the_least_its_items_take() -> None:
    frame = struct.pack(">i", 11) + bytes(2 * 10) + b"\1"
    with pytest.raises(CorruptData, match="topics has more items"):
        codec.decoder(MetadataRequest, 4)(frame, 0, len(frame))


@pytest.mark.parametrize(("cls", "version"), [(ProduceRequest, 9), (FetchResponse, 12), (MetadataResponse, 9)])
def test_a_count_of_one_byte_does_not_reach_into_what_lies_behind_the_frame(cls: type[Any], version: int) -> None:
    """Behind the frame of one connection lie the bytes of others: they are not to be read, not even to be refused."""
    whole = codec.encoder(cls, version)(messages.arbitrary(cls, version, Random(1)))
    place = {ProduceRequest: 0, FetchResponse: 10, MetadataResponse: 4}[cls]
    frame = whole[:place] + (b"\x00" + bytes(6) if cls is ProduceRequest else b"") + b"\x65" + bytes(20)
    buffer = memoryview(bytearray(frame + b"\x02a\x01\x00" * 1000))
    with pytest.raises(CorruptData, match="has more items than bytes"):
        codec.decoder(cls, version)(buffer, 0, len(frame))


@pytest.mark.parametrize(("version", "null"), [(0, b"\xff\xff\xff\xff"), (0, b"\xff\xff\xff\xfe")])
def test_null_for_an_array_that_has_none_is_corrupt(version: int, null: bytes) -> None:
    with pytest.raises(CorruptData, match="topics is null"):
        codec.decoder(MetadataRequest, version)(null, 0, len(null))


@pytest.mark.parametrize("null", [b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"])
def test_any_negative_count_is_null(null: bytes) -> None:
    assert codec.decoder(MetadataRequest, 1)(null, 0, 4) == (MetadataRequest(topics=None), 4)


def test_a_compact_length_that_overflows_is_null() -> None:
    frame = b"\xff\xff\xff\xff\x0f" + b"\x01\x00\x00\x00"
    assert codec.decoder(MetadataRequest, 9)(frame, 0, len(frame)) == (MetadataRequest(topics=None), 9)


def test_a_string_of_a_compact_length_above_kafkas_limit_is_corrupt() -> None:
    frame = b"\x02" + uvarint(32_769) + b"x" * 32_768 + b"\x00" + b"\x01\x00\x00\x00"
    with pytest.raises(CorruptData, match="too long"):
        codec.decoder(MetadataRequest, 9)(frame, 0, len(frame))


def test_unknown_tags_are_skipped_wherever_they_stand() -> None:
    plain = codec.encoder(MetadataRequest, 9)(MetadataRequest([MetadataRequestTopic(name="t")]))
    assert plain.endswith(b"\x02t\x00\x01\x00\x00\x00")
    tagged = plain[:-5] + b"\x02\x05\x03abc\x7f\x00" + plain[-4:-1] + b"\x01\x00\x01x"
    made, stop = codec.decoder(MetadataRequest, 9)(tagged, 0, len(tagged))
    assert (made, stop) == (MetadataRequest([MetadataRequestTopic(name="t")]), len(tagged))


def test_known_tags_come_in_any_order_and_the_last_of_two_holds() -> None:
    whole = codec.encoder(Sample, 2)(Sample())
    name = b"\x01\x02\x01"  # tag 1, two bytes: length of one character ...
    tags = b"\x04" + name[:2] + b"\x02a" + b"\x63\x02zz" + b"\x00\x09" + bytes(8) + b"\x00" + name[:2] + b"\x02b"
    frame = whole[:-1] + tags
    made, stop = codec.decoder(Sample, 2)(frame, 0, len(frame))
    assert (made.later, made.late.y, stop) == ("b", 0, len(frame))


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        (b"\x01\x01\x03\x02a", "longer than what holds it"),
        (b"\x01\x01\x03\x02axyz", "another size"),
        (b"\x01\x09\x7f", "longer than what holds it"),
        (uvarint(10_001) + bytes(30_000), "too many tagged fields"),
        (b"\xff\xff\xff\xff\xff\xff", "longer than five bytes"),
    ],
)
def test_tag_sections_that_lie_are_corrupt(tags: bytes, why: str) -> None:
    frame = codec.encoder(Sample, 2)(Sample())[:-1] + tags
    with pytest.raises(CorruptData, match=why):
        codec.decoder(Sample, 2)(frame, 0, len(frame))


def test_the_least_size_of_a_struct_counts_what_the_version_has() -> None:
    fields = schema_of(Item).fields
    assert [smallest(fields, 0, False), smallest(fields, 1, False), smallest(fields, 2, True)] == [2, 4, 3]


def test_levels_of_arrays_are_counted() -> None:
    assert [array_depth(cls) for cls in (ProduceRequest, MetadataRequest, OffsetFetchRequest)] == [2, 1, 3]


def test_views_are_kept_only_where_records_are() -> None:
    assert holds_records(ProduceRequest)
    assert holds_records(FetchResponse)
    assert not holds_records(FetchRequest)
