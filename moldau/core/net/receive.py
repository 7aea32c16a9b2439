"""From received bytes to whole frames, for every connection of one loop.

All connections share one receive buffer: whole frames are handed on as views of it, valid only during
the call. The rest of a connection's unfinished frame moves into a buffer of its own, which grows as bytes
arrive, never by the length the frame declares. Own buffers are counted against one budget (`Budget`).

Bytes that came are counted whether or not the budget has them; past it every connection gets small pieces only,
and no buffer grows. One frame at a time may use a part of the budget that is kept back for it, so that frames
which hold all the rest and wait for each other cannot stand still.

A frame is an int32 size and that many bytes (KIP-482 changed the headers inside, not this).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from moldau.core.base.errors import CorruptData
from moldau.core.base.options import KIB, MIB

SIZE = struct.Struct(">i")
SHARED_BYTES = 256 * KIB
SCARCE_BYTES = 4 * KIB  # what a connection may send at once while the budget is used up
POOLED_BYTES = MIB + 16 * KIB  # one librdkafka batch of its default size, with the request around it
POOLED_MAX = 8
FIRST_BYTES = 4 * KIB
FAIR_BYTES = 256 * KIB  # what must come of a frame in one stall timeout, once others wait for the room it holds
GROWTH = 4

Retry = Callable[[], bool]


class Budget:
    """A bounded number of bytes that many share. Who does not get its bytes waits in line."""

    __slots__ = ("_line", "limit", "on_exceeded", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.on_exceeded: Callable[[], None] | None = None
        self._line: deque[Retry] = deque()

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def contended(self) -> bool:
        """Somebody waits for bytes."""
        return bool(self._line)

    def charge(self, size: int) -> None:
        """Count bytes that are here already; `on_exceeded` hears of it when they are too many."""
        self.used += size
        if self.used > self.limit and self.on_exceeded is not None:
            self.on_exceeded()

    def give_back(self, size: int) -> None:
        """Return bytes, and let those who wait try again, in their order."""
        self.used -= size
        line = self._line
        while line and line[0]():
            line.popleft()

    def wait(self, retry: Retry) -> None:
        """Have `retry` called when bytes come back, until it says that it has what it needs."""
        self._line.append(retry)

    def leave_line(self, retry: Retry) -> None:
        """Wait no more."""
        self._line.remove(retry)


class ReceivePool:
    """The shared buffer, the budget for unfinished frames, and a few large buffers kept for the next batch."""

    __slots__ = ("_common", "_first", "_free", "_scarce", "budget", "frame_max", "room", "shared", "shared_view")

    def __init__(self, budget: Budget, frame_max: int, shared_bytes: int = SHARED_BYTES) -> None:
        self.budget = budget
        self.frame_max = frame_max
        self.shared = bytearray(shared_bytes)
        self.shared_view = memoryview(self.shared)
        self.room = self.shared_view  # what the next connection may fill of it
        self._scarce = self.shared_view[:SCARCE_BYTES]
        self._free: list[bytearray] = []
        self._common = budget.limit - min(frame_max, budget.limit // 2)
        self._first: object = None  # whose frame may use the rest

    def acquire(self, capacity: int) -> bytearray:
        """A buffer of at least `capacity` bytes; its content means nothing."""
        if FIRST_BYTES < capacity <= POOLED_BYTES and self._free:
            return self._free.pop()
        return bytearray(capacity)

    def release(self, buffer: bytearray) -> None:
        """Give a buffer back; one of the common large size is kept for the next batch."""
        if len(buffer) == POOLED_BYTES and len(self._free) < POOLED_MAX:
            self._free.append(buffer)

    def affords(self, size: int) -> bool:
        """Whether everybody may take so many bytes more."""
        return self.budget.used + size <= self._common

    def take(self, size: int, who: object) -> bool:
        """Take bytes of the budget for the frame `who`, or say no."""
        if not self.affords(size):
            if self._first is not None and self._first is not who:
                return False
            self._first = who
        self.charge(size)
        return True

    def charge(self, size: int) -> None:
        """Count bytes that came."""
        self.budget.charge(size)
        if self.budget.exceeded:
            self.room = self._scarce

    def give_back(self, size: int, who: object = None) -> None:
        """`who` needs its bytes no more."""
        if who is not None and self._first is who:
            self._first = None
        self.budget.give_back(size)
        if not self.budget.exceeded:
            self.room = self.shared_view


class Unfinished:
    """One frame whose bytes are still coming. `view` is what the socket may fill next."""

    __slots__ = ("_buffer", "_charged", "_needed", "_pool", "_seen", "_seen_ms", "filled")

    def __init__(self, pool: ReceivePool, start: memoryview) -> None:
        self._pool = pool
        self.filled = len(start)
        self._needed = SIZE.size
        self._seen = -1  # how far it was at `_seen_ms`
        self._seen_ms = 0
        capacity = FIRST_BYTES
        if self.filled > capacity:
            capacity = max(self.filled, min(POOLED_BYTES, GROWTH * self.filled))
            if not pool.affords(capacity):
                capacity = self.filled
        self._buffer = pool.acquire(capacity)
        self._charged = len(self._buffer)
        pool.charge(self._charged)
        self._buffer[: self.filled] = start
        self._learn_size()

    @property
    def complete(self) -> bool:
        return self.filled >= self._needed > SIZE.size

    @property
    def frame(self) -> memoryview:
        """The whole frame behind its size, once complete."""
        return memoryview(self._buffer)[SIZE.size : self._needed]

    def reserve(self) -> bool:
        """Make sure there is room for more bytes. False: the budget is used up, wait for it."""
        capacity = len(self._buffer)
        if self.filled < capacity or self.filled >= self._needed:
            return True
        larger = min(self._needed, capacity * GROWTH)
        if POOLED_BYTES >= larger > FIRST_BYTES * GROWTH:
            larger = POOLED_BYTES
        if not self._pool.take(larger - capacity, self):
            return False
        grown = self._pool.acquire(larger)
        if len(grown) > larger:
            self._pool.charge(len(grown) - larger)
        grown[: self.filled] = memoryview(self._buffer)[: self.filled]
        self._pool.release(self._buffer)
        self._buffer = grown
        self._charged = len(grown)
        return True

    def view(self) -> memoryview:
        """Where the next bytes go; at most to the end of this frame."""
        return memoryview(self._buffer)[self.filled : min(self._needed, len(self._buffer))]

    def received(self, size: int) -> None:
        """`size` bytes were put into `view`. Raises CorruptData for an impossible frame size."""
        self.filled += size
        self._learn_size()

    def too_slow(self, now_ms: int, within_ms: int) -> bool:
        """Whether others wait for room, and less than a fair pace came `within_ms`. To be asked now and then."""
        if self._seen < 0 or not self._pool.budget.contended:
            self._seen, self._seen_ms = self.filled, now_ms
        elif now_ms - self._seen_ms > within_ms:
            if self.filled - self._seen < FAIR_BYTES:
                return True
            self._seen, self._seen_ms = self.filled, now_ms
        return False

    def close(self) -> None:
        """Give the buffer and its budget back."""
        self._pool.release(self._buffer)
        self._buffer = bytearray()
        charged, self._charged = self._charged, 0
        if charged:
            self._pool.give_back(charged, self)

    def _learn_size(self) -> None:
        if self._needed == SIZE.size and self.filled >= SIZE.size:
            self._needed = SIZE.size + frame_size(self._buffer, 0, self._pool.frame_max)


def frame_size(buffer: bytearray | memoryview, at: int, frame_max: int) -> int:
    """The size a frame declares. Raises CorruptData when no frame can have it."""
    size: int = SIZE.unpack_from(buffer, at)[0]
    if not 0 < size <= frame_max:
        raise impossible_size(size, frame_max)
    return size


def impossible_size(size: int, frame_max: int) -> CorruptData:
    """The error for a declared size that no frame can have."""
    return CorruptData(f"a frame of {size} bytes; allowed are 1 to {frame_max}")
