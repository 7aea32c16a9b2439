"""The records of groups in `__consumer_offsets`: bytes to values and back, in the versions that Kafka 4.3 writes.

    key    | int16 type | group [topic, partition] |   type 1 an offset (0 in very old logs), type 2 a group
    value  | int16 version | message |                 offset: 4, or 1 if it has an expiry of its own; group: 3

Every version Kafka ever wrote is read. Keys of other types belong to group kinds that are not served. What never
lives here: what records mean for a group.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from moldau.core.base.errors import CorruptData
from moldau.core.base.ids import ZERO_UUID
from moldau.core.coordinators.shard import StoredRecord
from moldau.core.protocol import codec
from moldau.core.protocol.stored.groups import (
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)

LEGACY_OFFSET_TYPE = 0
OFFSET_TYPE = 1
GROUP_TYPE = 2

GROUP_VALUE_VERSION = 3
OFFSET_VALUE_VERSION = 4
OFFSET_VALUE_VERSION_WITH_EXPIRY = 1
VALUE_VERSION_MAX = 4

NO_EXPIRY = -1

_INT16 = struct.Struct(">h")
_OFFSET_KEY_PREFIX = _INT16.pack(OFFSET_TYPE)
_GROUP_KEY_PREFIX = _INT16.pack(GROUP_TYPE)
_GROUP_VALUE_PREFIX = _INT16.pack(GROUP_VALUE_VERSION)


class OffsetKey(NamedTuple):
    """Whose position."""

    group_id: str
    topic: str
    partition: int


class GroupKey(NamedTuple):
    """Which group."""

    group_id: str


class Offset(NamedTuple):
    """A committed position. Timestamps are wall milliseconds; an `expires_ms` of -1 leaves it to the broker."""

    offset: int
    leader_epoch: int
    metadata: str
    committed_ms: int
    expires_ms: int = NO_EXPIRY
    topic_id: bytes = ZERO_UUID


def group_key(group_id: str) -> bytes:
    """The key of a group's metadata."""
    return _GROUP_KEY_PREFIX + codec.encoder(GroupMetadataKey, 0)(GroupMetadataKey(group=group_id))


def group_metadata(group_id: str, value: GroupMetadataValue) -> StoredRecord:
    """A generation of a group."""
    return StoredRecord(
        group_key(group_id), _GROUP_VALUE_PREFIX + codec.encoder(GroupMetadataValue, GROUP_VALUE_VERSION)(value)
    )


def group_tombstone(group_id: str) -> StoredRecord:
    """The end of a group."""
    return StoredRecord(group_key(group_id), None)


def offset_key(key: OffsetKey) -> bytes:
    """The key of a position."""
    message = OffsetCommitKey(group=key.group_id, topic=key.topic, partition=key.partition)
    return _OFFSET_KEY_PREFIX + codec.encoder(OffsetCommitKey, 0)(message)


def offset_value(offset: Offset) -> bytes:
    """The value of a position. Only version 1 has an expiry, and only version 4 a topic id."""
    version = OFFSET_VALUE_VERSION if offset.expires_ms == NO_EXPIRY else OFFSET_VALUE_VERSION_WITH_EXPIRY
    message = OffsetCommitValue(
        offset=offset.offset,
        leader_epoch=offset.leader_epoch,
        metadata=offset.metadata,
        commit_timestamp=offset.committed_ms,
        expire_timestamp=offset.expires_ms,
        topic_id=offset.topic_id,
    )
    return _INT16.pack(version) + codec.encoder(OffsetCommitValue, version)(message)


def parse_key(key: bytes) -> OffsetKey | GroupKey | None:
    """What a key is about; None for a type that is not ours. Raises CorruptData."""
    kind = _leading_int16(key)
    if kind in (OFFSET_TYPE, LEGACY_OFFSET_TYPE):
        offset, _ = codec.decoder(OffsetCommitKey, 0)(key, 2, len(key))
        return OffsetKey(offset.group, offset.topic, offset.partition)
    if kind == GROUP_TYPE:
        group, _ = codec.decoder(GroupMetadataKey, 0)(key, 2, len(key))
        return GroupKey(group.group)
    return None


def parse_group(value: bytes) -> GroupMetadataValue:
    """A generation of a group. Raises CorruptData."""
    version = _leading_int16(value)
    _check_version(version)
    return codec.decoder(GroupMetadataValue, version)(value, 2, len(value))[0]


def parse_offset(value: bytes) -> Offset:
    """A committed position. Raises CorruptData."""
    version = _leading_int16(value)
    _check_version(version)
    message, _ = codec.decoder(OffsetCommitValue, version)(value, 2, len(value))
    return Offset(
        message.offset,
        message.leader_epoch,
        message.metadata,
        message.commit_timestamp,
        message.expire_timestamp,
        message.topic_id,
    )


def _leading_int16(data: bytes) -> int:
    if len(data) < _INT16.size:
        raise CorruptData(f"a record of groups has at least 2 bytes, this one has {len(data)}")
    number: int = _INT16.unpack_from(data)[0]
    return number


def _check_version(version: int) -> None:
    if not 0 <= version <= VALUE_VERSION_MAX:
        raise CorruptData(f"a value of version {version}, the newest known is {VALUE_VERSION_MAX}")
