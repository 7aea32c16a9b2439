"""The frames of stored records, byte for byte, and what is corrupt in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData
from moldau.core.protocol.stored import frame
from moldau.core.protocol.stored.groups import (
    GroupMetadataKey,
    LegacyOffsetCommitKey,
    OffsetCommitKey,
    OffsetCommitValue,
)
from moldau.core.protocol.stored.metadata import FeatureLevelRecord, TopicRecord

TOPIC = TopicRecord("a", bytes(range(16)))


def test_a_metadata_record_has_a_frame_of_three_varints() -> None:
    encoded = frame.encode_metadata(TOPIC, 0)
    assert encoded == b"\x01\x02\x00" + b"\x02a" + bytes(range(16)) + b"\x00"
    assert frame.decode_metadata(encoded) == TOPIC
    assert frame.decode_metadata(memoryview(encoded)) == TOPIC


def test_every_metadata_record_is_found_by_its_type() -> None:
    assert frame.METADATA_RECORDS[2] is TopicRecord
    assert frame.METADATA_RECORDS[12] is FeatureLevelRecord
    assert len(frame.METADATA_RECORDS) == 26


@pytest.mark.parametrize("broken", [b"", b"\x01", b"\x01\x02", b"\x00\x02\x00", b"\x02\x02\x00", b"\x01\x02\x09"])
def test_a_broken_metadata_frame_is_corrupt(broken: bytes) -> None:
    with pytest.raises(CorruptData):
        frame.decode_metadata(broken)


def test_bytes_behind_a_metadata_record_are_corrupt() -> None:
    with pytest.raises(CorruptData, match="behind TopicRecord"):
        frame.decode_metadata(frame.encode_metadata(TOPIC, 0) + b"\0")


def test_unknown_types_are_none() -> None:
    assert frame.decode_metadata(b"\x01\x63\x00abc") is None
    assert frame.decode_key(b"\x00\x63abc") is None


def test_a_key_begins_with_its_type_and_a_value_with_its_version() -> None:
    key = OffsetCommitKey("g", "t", 1)
    assert frame.encode_key(key) == bytes.fromhex("0001 000167 000174 00000001")
    assert frame.decode_key(frame.encode_key(key)) == key
    value = OffsetCommitValue(offset=5, metadata="m", commit_timestamp=9)
    encoded = frame.encode_value(value, 3)
    assert encoded[:2] == b"\x00\x03"
    assert frame.decode_value(OffsetCommitValue, encoded) == value


@pytest.mark.parametrize("key", [LegacyOffsetCommitKey("g", "t", 2), GroupMetadataKey("g")])
def test_keys_are_told_apart_by_their_type(key: object) -> None:
    decoded = frame.decode_key(frame.encode_key(key))
    assert (type(decoded), decoded) == (type(key), key)


def test_bytes_behind_a_coordinators_record_are_ignored() -> None:
    key = GroupMetadataKey("g")
    assert frame.decode_key(frame.encode_key(key) + b"more") == key


@pytest.mark.parametrize("broken", [b"", b"\x00", b"\x00\x01", b"\x00\x01\x00\x05g"])
def test_a_broken_key_is_corrupt(broken: bytes) -> None:
    with pytest.raises(CorruptData):
        frame.decode_key(broken)


@pytest.mark.parametrize("broken", [b"", b"\x00\x09", b"\xff\xff", b"\x00\x01abc"])
def test_a_broken_value_is_corrupt(broken: bytes) -> None:
    with pytest.raises(CorruptData):
        frame.decode_value(OffsetCommitValue, broken)


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_corrupt(data: bytes) -> None:
    for decode in (frame.decode_metadata, frame.decode_key, lambda data: frame.decode_value(OffsetCommitValue, data)):
        try:
            decode(data)
        except CorruptData:
            pass
