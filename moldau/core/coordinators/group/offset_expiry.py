"""Which committed offsets have outlived their use, looked for in small steps.

Offsets age from the moment their group lost its last member, or from their own commit: where no member ever joined,
and where a stable group does not subscribe to their topic any more. An expiry given with the commit (OffsetCommit up
to v4) overrules that. What never lives here: timers, the log.
"""

from __future__ import annotations

from collections.abc import Mapping

from moldau.core.coordinators.group import records
from moldau.core.coordinators.group.classic import ClassicGroup
from moldau.core.coordinators.group.config import GroupConfig
from moldau.core.coordinators.group.offsets import Offsets
from moldau.core.coordinators.group.records import Offset, OffsetKey
from moldau.core.coordinators.group.states import GroupState
from moldau.core.coordinators.group.subscription import subscribed_topics
from moldau.core.coordinators.shard import Decision, StoredRecord

# Offsets to look at in one go, and the pause between two: a check of many must not hold up the loop.
STEP_OFFSETS = 2000
STEP_PAUSE_MS = 5


class OffsetExpiry:
    """Walks the groups of a shard, round after round."""

    __slots__ = ("_config", "_groups", "_left", "_offsets")

    def __init__(self, groups: Mapping[str, ClassicGroup], offsets: Offsets, config: GroupConfig) -> None:
        self._groups = groups
        self._offsets = offsets
        self._config = config
        self._left: list[str] = []  # groups still to look at in this round

    def step(self, wall_ms: int, out: Decision) -> int:
        """Add the tombstones of what has expired; returns the milliseconds until the next step."""
        if not self._left:
            self._left = list(self._groups)
        budget = STEP_OFFSETS
        while self._left:
            if budget <= 0:
                return STEP_PAUSE_MS
            group = self._groups.get(self._left.pop())
            if group is not None:
                budget -= 1 + self._expire_group(group, wall_ms, out)
        return self._config.offsets_retention_check_interval_ms

    def _expire_group(self, group: ClassicGroup, wall_ms: int, out: Decision) -> int:
        """Returns how many offsets were looked at."""
        group_id = group.group_id
        is_empty = group.state is GroupState.EMPTY
        # Without a protocol type nobody ever joined: the group is but a name for offsets.
        topics: frozenset[str] = frozenset()
        if group.protocol_type is not None and not is_empty:
            subscribed = subscribed_topics(group) if group.state is GroupState.STABLE else None
            if subscribed is None:
                return 0  # rebalancing, or not known what it reads
            topics = subscribed
        since_ms = group.state_since_ms if group.protocol_type is not None and is_empty else -1
        looked_at, kept = 0, False
        for topic, partition, offset in self._offsets.of_group(group_id):
            looked_at += 1
            key = OffsetKey(group_id, topic, partition)
            if topic in topics or not self._is_expired(offset, since_ms, wall_ms) or self._offsets.is_pending(key):
                kept = True
            else:
                out.records.append(StoredRecord(records.offset_key(key), None))
        is_unused = is_empty and not kept and not group.members.pending
        if is_unused and group.recorded and not self._offsets.has_pending(group_id):
            out.records.append(records.group_tombstone(group_id))
        return looked_at

    def _is_expired(self, offset: Offset, since_ms: int, wall_ms: int) -> bool:
        if offset.expires_ms != records.NO_EXPIRY:
            return wall_ms >= offset.expires_ms
        base_ms = since_ms if since_ms >= 0 else offset.committed_ms
        return wall_ms - base_ms >= self._config.offsets_retention_ms
