"""Records of groups: the bytes Kafka writes, and every version it ever wrote."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.base.ids import ZERO_UUID
from moldau.core.coordinators.group import records
from moldau.core.coordinators.group.records import GroupKey, Offset, OffsetKey
from moldau.core.protocol import codec
from moldau.core.protocol.stored.groups import GroupMetadataValue, MemberMetadata, OffsetCommitValue

TOPIC_ID = bytes(range(16))


def test_the_bytes_of_an_offset() -> None:
    key = records.offset_key(OffsetKey("g", "t", 3))
    assert key == b"\0\1" + b"\0\1g" + b"\0\1t" + b"\0\0\0\3"
    value = records.offset_value(Offset(5, 2, "m", 100, topic_id=TOPIC_ID))
    # version, offset, epoch, compact metadata, commit time, one tag: 0, 16 bytes
    assert value == b"\0\4" + (5).to_bytes(8) + (2).to_bytes(4) + b"\2m" + (100).to_bytes(8) + b"\1\0\x10" + TOPIC_ID
    assert records.offset_value(Offset(5, 2, "m", 100)).endswith(b"\0")  # no tag for no topic id


def test_the_bytes_of_a_group() -> None:
    record = records.group_metadata("g", GroupMetadataValue(protocol_type="c", generation=1))
    assert record.key == records.group_key("g") == b"\0\2\0\1g"
    assert record.value is not None
    assert record.value[:2] == b"\0\3"
    assert records.group_tombstone("g") == (record.key, None)


def test_keys_come_back() -> None:
    assert records.parse_key(records.offset_key(OffsetKey("g", "t", 3))) == OffsetKey("g", "t", 3)
    assert records.parse_key(records.group_key("g")) == GroupKey("g")
    legacy = b"\0\0" + records.offset_key(OffsetKey("g", "t", 3))[2:]
    assert records.parse_key(legacy) == OffsetKey("g", "t", 3)
    assert records.parse_key(b"\0\3\0\1g") is None  # a group of another kind


@pytest.mark.parametrize(
    "offset", [Offset(5, 2, "m", 100, topic_id=TOPIC_ID), Offset(-7, -1, "", 100), Offset(5, -1, "m", 100, 200)]
)
def test_offsets_come_back(offset: Offset) -> None:
    assert records.parse_offset(records.offset_value(offset)) == offset


def test_an_expiry_of_its_own_takes_the_version_that_has_one() -> None:
    value = records.offset_value(Offset(5, 2, "m", 100, 200, TOPIC_ID))
    assert value[:2] == b"\0\1"
    assert records.parse_offset(value) == Offset(5, -1, "m", 100, 200, ZERO_UUID)


@pytest.mark.parametrize("version", range(5))
def test_every_version_of_an_offset_is_read(version: int) -> None:
    encoded = codec.encoder(OffsetCommitValue, version)(OffsetCommitValue(offset=5, metadata="m", commit_timestamp=100))
    assert records.parse_offset(version.to_bytes(2) + encoded)[:4] == (5, -1, "m", 100)


@pytest.mark.parametrize("version", range(5))
def test_every_version_of_a_group_is_read(version: int) -> None:
    value = GroupMetadataValue(
        protocol_type="consumer",
        generation=4,
        protocol="range",
        leader="m",
        members=[MemberMetadata(member_id="m", session_timeout=9, subscription=b"s", assignment=b"a")],
    )
    parsed = records.parse_group(version.to_bytes(2) + codec.encoder(GroupMetadataValue, version)(value))
    assert (parsed.generation, parsed.leader, parsed.members[0].subscription) == (4, "m", b"s")
    assert parsed.members[0].rebalance_timeout == -1


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\1", b"\0\1\0\5g", b"\0\2\0\1"])
def test_a_broken_key_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptData):
        records.parse_key(data)


@pytest.mark.parametrize("data", [b"", b"\0\5" + bytes(50), b"\xff\xff" + bytes(50), b"\0\4\0"])
def test_a_broken_value_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptData):
        records.parse_offset(data)
    with pytest.raises(CorruptData):
        records.parse_group(data)
