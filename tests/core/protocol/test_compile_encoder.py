"""What encoders write, byte for byte where it matters, and what they refuse to write."""

from __future__ import annotations

from typing import Any

import pytest

from moldau.core.protocol import codec
from moldau.core.protocol.compile_encoder import CannotEncode
from moldau.core.protocol.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData
from moldau.core.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from moldau.core.protocol.messages.produce import LeaderIdAndEpoch, PartitionProduceResponse, ProduceResponse
from moldau.core.protocol.messages.produce import TopicProduceResponse as Topic
from moldau.core.protocol.stored.metadata import PartitionChangeRecord
from tests.support.sample import Item, Point, Sample


class Slice:
    """A stand-in for a piece of a file: it has a length and nothing else."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length


def fetched(records: Any) -> FetchResponse:
    return FetchResponse(responses=[FetchableTopicResponse("t", partitions=[PartitionData(records=records)])])


def test_tags_are_sorted_and_defaults_are_left_out() -> None:
    record = PartitionChangeRecord(1, bytes(16), leader=3, isr=[3], eligible_leader_replicas=[])
    encoded = codec.encoder(PartitionChangeRecord, 2)(record)
    fixed = bytes.fromhex("00000001") + bytes(16)
    tags = bytes.fromhex("0300050200000003010400000003060101")
    assert encoded == fixed + tags
    assert codec.encoder(PartitionChangeRecord, 2)(PartitionChangeRecord(1, bytes(16))) == fixed + b"\0"


def test_a_nullable_struct_has_a_byte_before_it() -> None:
    absent = codec.encoder(Sample, 1)(Sample(texts=None))
    present = codec.encoder(Sample, 1)(Sample(texts=None, other=Point(1, 2)))
    assert len(present) == len(absent) + 8 + 1
    assert absent.replace(b"\xff\x01\x00", b"\x01\x00\x00\x00\x01\x00\x00\x00\x02\x00\x01\x00", 1) == present


@pytest.mark.parametrize(("length", "prefix"), [(126, "7f"), (127, "8001"), (16_383, "808001")])
def test_lengths_take_the_bytes_they_need(length: int, prefix: str) -> None:
    head = codec.encoder(Item, 0)
    assert head(Item("x" * length))[:2] == length.to_bytes(2, "big")  # a bare struct is classic
    request = MetadataRequest([MetadataRequestTopic(name="x" * length)])
    assert codec.encoder(MetadataRequest, 9)(request).startswith(bytes.fromhex("02" + prefix) + b"xxx")


def test_a_field_the_version_lacks_is_dropped_if_ignorable_or_default() -> None:
    plain = codec.encoder(Sample, 2)(Sample())
    assert codec.encoder(Sample, 2)(Sample(dropped=77)) == plain
    assert codec.encoder(Sample, 0)(Sample(added=5)) == codec.encoder(Sample, 0)(Sample())


@pytest.mark.parametrize(
    ("sample", "name"),
    [
        (Sample(added=6), "Sample.added"),
        (Sample(other=Point()), "Sample.other"),
        (Sample(late=Point(1, 1)), "Sample.late"),
        (Sample(later="x"), "Sample.later"),
        (Sample(items=[Item(note="x")]), "Item.note"),
        (Sample(items=[Item(points=[Point()])]), "Item.points"),
        (Sample(items=[Item(weight=1.0)]), "Item.weight"),
    ],
)
def test_a_value_the_version_cannot_carry_is_refused(sample: Sample, name: str) -> None:
    with pytest.raises(CannotEncode, match=f"Sample v0 cannot carry {name}"):
        codec.encoder(Sample, 0)(sample)


def test_an_equal_copy_of_a_default_struct_is_a_default() -> None:
    assert codec.encoder(Sample, 0)(Sample(late=Point(0, 7))) == codec.encoder(Sample, 0)(Sample())
    leader = LeaderIdAndEpoch(-1, -1)
    answer = ProduceResponse([Topic(partition_responses=[PartitionProduceResponse(current_leader=leader)])])
    plain = ProduceResponse([Topic(partition_responses=[PartitionProduceResponse()])])
    assert codec.encoder(ProduceResponse, 13)(answer) == codec.encoder(ProduceResponse, 13)(plain)


@pytest.mark.parametrize(
    "sample",
    [
        Sample(name=None),  # type: ignore[arg-type]
        Sample(numbers=None),  # type: ignore[arg-type]
        Sample(maybe=None),
        Sample(medium=None),  # type: ignore[arg-type]
        Sample(place=None),  # type: ignore[arg-type]
        Sample(medium=1 << 31),
        Sample(port=-1),
        Sample(name="x" * 40_000),
        Sample(texts=["x" * 40_000]),
    ],
)
def test_nulls_and_numbers_out_of_range_are_refused(sample: Sample) -> None:
    with pytest.raises(CannotEncode, match="Sample v0"):
        codec.encoder(Sample, 0)(sample)


def test_a_long_string_is_refused_in_flexible_versions_too() -> None:
    with pytest.raises(CannotEncode, match="too long"):
        codec.encoder(Sample, 1)(Sample(name="x" * 32_768))
    assert codec.encoder(Sample, 1)(Sample(name="x" * 32_767))


def test_a_null_where_only_other_versions_have_one_is_refused() -> None:
    request = MetadataRequest(topics=None)
    assert codec.encoder(MetadataRequest, 1)(request) == b"\xff\xff\xff\xff"
    with pytest.raises(CannotEncode):
        codec.encoder(MetadataRequest, 0)(request)


@pytest.mark.parametrize("version", [4, 12, 18])
def test_records_that_are_not_bytes_come_out_as_their_own_chunk(version: int) -> None:
    held = Slice(5)
    chunks = codec.chunk_encoder(FetchResponse, version)(fetched(held))
    assert [type(chunk) for chunk in chunks[:2]] == [bytes, Slice]
    joined = codec.encoder(FetchResponse, version)(fetched(b"12345"))
    assert b"".join(b"12345" if chunk is held else chunk for chunk in chunks) == joined


def test_bytes_like_records_stay_in_one_chunk() -> None:
    for records in (b"12345", memoryview(b"12345"), bytearray(b"12345")):
        chunks = codec.chunk_encoder(FetchResponse, 12)(fetched(records))
        assert chunks == [codec.encoder(FetchResponse, 12)(fetched(b"12345"))]


def test_the_plain_encoder_cannot_carry_other_records() -> None:
    with pytest.raises(TypeError):
        codec.encoder(FetchResponse, 12)(fetched(Slice(5)))


def test_empty_and_filled_spare_fields_read_the_same() -> None:
    """The short way for structs whose later fields are empty writes what the long way does."""
    for version in (8, 9, 10, 13):
        for message in (None, "", "why"):
            partition = PartitionProduceResponse(1, 2, 3, 4, 5, error_message=message)
            answer = ProduceResponse([Topic("" if version > 12 else "t", partition_responses=[partition])])
            encoded = codec.encoder(ProduceResponse, version)(answer)
            assert codec.decoder(ProduceResponse, version)(encoded, 0, len(encoded))[0] == answer
