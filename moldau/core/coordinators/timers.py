"""Deadlines by key, for a pure state machine: nothing here knows what time it is.

Moving a deadline on, which every heartbeat does, only writes a dictionary: the heap learns of it when the old
deadline comes up. A deadline that moves closer gets a heap entry of its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """At most one deadline per key, in milliseconds of whatever clock the owner uses."""

    __slots__ = ("_count", "_deadlines", "_entries", "_heap")

    def __init__(self) -> None:
        self._deadlines: dict[K, int] = {}
        # The deadline of the heap entry that speaks for a key; other entries of that key are dead.
        self._entries: dict[K, int] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, key: K) -> bool:
        return key in self._deadlines

    def set(self, key: K, deadline_ms: int) -> None:
        """Set or replace the deadline of `key`."""
        self._deadlines[key] = deadline_ms
        entry = self._entries.get(key)
        if entry is None or deadline_ms < entry:
            self._push(key, deadline_ms)

    def cancel(self, key: K) -> None:
        """Forget the deadline of `key`, if it has one."""
        self._deadlines.pop(key, None)

    def next_deadline_ms(self) -> int | None:
        """The earliest deadline."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ms: int) -> K | None:
        """Take the earliest key whose deadline is not after `now_ms`."""
        self._settle()
        if not self._heap or self._heap[0][0] > now_ms:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._entries[key]
        del self._deadlines[key]
        return key

    def _push(self, key: K, deadline_ms: int) -> None:
        self._count += 1  # keeps keys out of the comparison, and equal deadlines in the order they were set
        self._entries[key] = deadline_ms
        heapq.heappush(self._heap, (deadline_ms, self._count, key))

    def _settle(self) -> None:
        """Bring a true deadline to the top of the heap."""
        while self._heap:
            at_ms, _, key = self._heap[0]
            if self._entries.get(key) != at_ms:
                heapq.heappop(self._heap)  # replaced by an earlier entry
                continue
            deadline_ms = self._deadlines.get(key)
            if deadline_ms == at_ms:
                return
            heapq.heappop(self._heap)
            del self._entries[key]
            if deadline_ms is not None:
                self._push(key, deadline_ms)
