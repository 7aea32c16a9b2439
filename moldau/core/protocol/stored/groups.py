"""The records of `__consumer_offsets` for classic groups. Declarations only; framing is in `frame.py`.

A key's record type is its `key`: 0 and 1 are committed offsets, 2 is a group's metadata.
"""

from __future__ import annotations

from moldau.core.protocol.schema import array, int32, int64, message, octets, string, struct, uuid


@message("coordinator-key", 0, "0")
class LegacyOffsetCommitKey:
    """An offset key of record type 0; read, never written."""

    group: str = string()
    topic: str = string()
    partition: int = int32()


@message("coordinator-value", 0, "0")
class LegacyOffsetCommitValue:
    """An offset value of record type 0; read, never written."""

    offset: int = int64()
    metadata: str = string()
    commit_timestamp: int = int64()


@message("coordinator-key", 1, "0")
class OffsetCommitKey:
    """Whose position this is."""

    group: str = string()
    topic: str = string()
    partition: int = int32()


@message("coordinator-value", 1, "0-4", flexible="4+")
class OffsetCommitValue:
    """A committed position."""

    offset: int = int64()
    leader_epoch: int = int32("3+", default=-1, ignorable=True)
    metadata: str = string()
    commit_timestamp: int = int64()
    expire_timestamp: int = int64("1", default=-1, ignorable=True)
    topic_id: bytes = uuid("4+", tag=0, ignorable=True)


@message("coordinator-key", 2, "0")
class GroupMetadataKey:
    """A classic group."""

    group: str = string()


@struct
class MemberMetadata:
    member_id: str = string()
    group_instance_id: str | None = string("3+", nullable="3+", default=None, ignorable=True)
    client_id: str = string()
    client_host: str = string()
    rebalance_timeout: int = int32("1+", default=-1, ignorable=True)
    session_timeout: int = int32()
    subscription: bytes = octets()
    assignment: bytes = octets()


@message("coordinator-value", 2, "0-4", flexible="4+")
class GroupMetadataValue:
    """A generation of a classic group."""

    protocol_type: str = string()
    generation: int = int32()
    protocol: str | None = string(nullable="0+")
    leader: str | None = string(nullable="0+")
    current_state_timestamp: int = int64("2+", default=-1, ignorable=True)
    members: list[MemberMetadata] = array(MemberMetadata)
