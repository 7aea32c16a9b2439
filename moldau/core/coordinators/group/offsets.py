"""The committed offsets of one shard.

Values stay the bytes they have in the log and are read when somebody asks: commits outnumber reads by far, and a
log of a million commits is replayed without decoding one of them. A key's bytes lead straight to its place.

Offsets committed in a transaction wait beside the others until its marker decides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

from moldau.core.base.errors import CorruptData
from moldau.core.coordinators.group.records import OFFSET_TYPE, Offset, OffsetKey, offset_key, parse_offset
from moldau.core.coordinators.shard import StoredRecord

log = logging.getLogger("moldau.groups")

TopicPartitionKey = tuple[str, int]


class _Place(NamedTuple):
    """Where the value of a key lives."""

    offsets: dict[TopicPartitionKey, bytes]
    partition: TopicPartitionKey


class Offsets:
    """Offsets by group, topic and partition."""

    __slots__ = ("_groups", "_pending", "_places")

    def __init__(self) -> None:
        # Invariant: no group has an empty dictionary here.
        self._groups: dict[str, dict[TopicPartitionKey, bytes]] = {}
        self._places: dict[bytes, _Place] = {}
        self._pending: dict[int, dict[OffsetKey, bytes | None]] = {}  # producer id -> what its transaction commits

    def __len__(self) -> int:
        return sum(len(offsets) for offsets in self._groups.values())

    def overwrite(self, key: bytes, value: bytes) -> bool:
        """The quick way of `put`: True if `key` had a value already, which is now replaced."""
        place = self._places.get(key)
        if place is None:
            return False
        place.offsets[place.partition] = value
        return True

    def put(self, key: OffsetKey, value: bytes) -> None:
        """Store a position."""
        offsets = self._groups.setdefault(key.group_id, {})
        partition = (key.topic, key.partition)
        offsets[partition] = value
        self._places[offset_key(key)] = _Place(offsets, partition)

    def remove(self, key: OffsetKey) -> None:
        """Forget a position, also one that a transaction was about to commit."""
        for pending in self._pending.values():
            pending.pop(key, None)
        offsets = self._groups.get(key.group_id)
        if offsets is None or offsets.pop((key.topic, key.partition), None) is None:
            return
        del self._places[offset_key(key)]
        if not offsets:
            del self._groups[key.group_id]

    def hold(self, producer_id: int, key: OffsetKey, value: bytes | None) -> None:
        """A transaction commits this, or takes it back with None."""
        self._pending.setdefault(producer_id, {})[key] = value

    def release(self, producer_id: int) -> dict[OffsetKey, bytes | None]:
        """A transaction has ended: what it had to commit."""
        return self._pending.pop(producer_id, {})

    def is_pending(self, key: OffsetKey) -> bool:
        """Whether an open transaction commits this position."""
        return any(key in pending for pending in self._pending.values())

    def has_pending(self, group_id: str) -> bool:
        """Whether an open transaction commits positions of this group."""
        return any(key.group_id == group_id for pending in self._pending.values() for key in pending)

    def has_group(self, group_id: str) -> bool:
        """Whether the group has any position."""
        return group_id in self._groups

    def get(self, group_id: str, topic: str, partition: int) -> Offset | None:
        """A position, or None."""
        value = self._groups.get(group_id, {}).get((topic, partition))
        return None if value is None else _read(group_id, topic, partition, value)

    def of_group(self, group_id: str) -> Iterator[tuple[str, int, Offset]]:
        """All positions of a group: topic, partition, offset."""
        for (topic, partition), value in self._groups.get(group_id, {}).items():
            offset = _read(group_id, topic, partition, value)
            if offset is not None:
                yield topic, partition, offset

    def tombstones_of_topics(self, topics: frozenset[str]) -> list[StoredRecord]:
        """What makes all groups forget these topics."""
        keys = {
            OffsetKey(group_id, topic, partition)
            for group_id, offsets in self._groups.items()
            for topic, partition in offsets
            if topic in topics
        }
        keys.update(key for pending in self._pending.values() for key in pending if key.topic in topics)
        return [StoredRecord(offset_key(key), None) for key in sorted(keys)]


def _read(group_id: str, topic: str, partition: int, value: bytes) -> Offset | None:
    try:
        return parse_offset(value)
    except CorruptData as error:
        log.error(
            "offset of group %r for %s-%d cannot be read and counts as none: %s", group_id, topic, partition, error
        )
        return None


assert OFFSET_TYPE == 1  # `_places` knows keys of this type only; keys of the older type are parsed each time
