"""From received bytes to whole frames, for every connection of one loop.

All connections share one receive buffer: whole frames are handed on as views of it, valid only during
the call. The rest of a connection's unfinished frame moves into a buffer of its own, which grows as bytes
arrive, never by the length the frame declares. Own buffers are counted against one budget (`Budget`).

A frame is an int32 size and that many bytes (KIP-482 changed the headers inside, not this).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from moldau.core.base.errors import CorruptData
from moldau.core.base.options import KIB, MIB

SIZE = struct.Struct(">i")
SHARED_BYTES = 256 * KIB
POOLED_BYTES = MIB + 16 * KIB  # one librdkafka batch of its default size, with the request around it
POOLED_MAX = 8
FIRST_BYTES = 4 * KIB
GROWTH = 4


class Budget:
    """A bounded number of bytes that many share. Who does not get its bytes waits in line."""

    __slots__ = ("_waiting", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiting: list[Callable[[], None]] = []

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit

    def take(self, size: int) -> bool:
        """Reserve `size` bytes, or say no. A single holder may always take, so that one too large for the
        budget is not stuck for ever."""
        if self.used and self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        """Return bytes, and let those who wait try again."""
        self.used -= size
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for retry in waiting:
                retry()

    def wait(self, retry: Callable[[], None]) -> None:
        """Have `retry` called once, when bytes come back."""
        self._waiting.append(retry)


class ReceivePool:
    """The shared buffer, the budget for unfinished frames, and a few large buffers kept for the next batch."""

    __slots__ = ("_free", "budget", "frame_max", "shared", "shared_view")

    def __init__(self, budget: Budget, frame_max: int, shared_bytes: int = SHARED_BYTES) -> None:
        self.budget = budget
        self.frame_max = frame_max
        self.shared = bytearray(shared_bytes)
        self.shared_view = memoryview(self.shared)
        self._free: list[bytearray] = []

    def acquire(self, capacity: int) -> bytearray:
        """A buffer of at least `capacity` bytes; its content means nothing."""
        if FIRST_BYTES < capacity <= POOLED_BYTES and self._free:
            return self._free.pop()
        return bytearray(capacity)

    def release(self, buffer: bytearray) -> None:
        """Give a buffer back; one of the common large size is kept for the next batch."""
        if len(buffer) == POOLED_BYTES and len(self._free) < POOLED_MAX:
            self._free.append(buffer)


class Unfinished:
    """One frame whose bytes are still coming. `view` is what the socket may fill next."""

    __slots__ = ("_buffer", "_needed", "_pool", "_reserved", "filled")

    def __init__(self, pool: ReceivePool, start: memoryview) -> None:
        self._pool = pool
        self.filled = len(start)
        self._needed = SIZE.size
        self._reserved = 0
        self._buffer = pool.acquire(FIRST_BYTES)
        if self.filled > len(self._buffer):
            self._buffer = pool.acquire(max(self.filled, min(POOLED_BYTES, GROWTH * self.filled)))
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
        if self._reserved < capacity:
            if not self._pool.budget.take(capacity - self._reserved):
                return False
            self._reserved = capacity
        if self.filled < capacity or self.filled >= self._needed:
            return True
        return self._grow(capacity)

    def view(self) -> memoryview:
        """Where the next bytes go; at most to the end of this frame."""
        return memoryview(self._buffer)[self.filled : min(self._needed, len(self._buffer))]

    def received(self, size: int) -> None:
        """`size` bytes were put into `view`. Raises CorruptData for an impossible frame size."""
        self.filled += size
        self._learn_size()

    def close(self) -> None:
        """Give the buffer and its budget back."""
        self._pool.release(self._buffer)
        self._buffer = bytearray()
        reserved, self._reserved = self._reserved, 0
        if reserved:
            self._pool.budget.give_back(reserved)

    def _grow(self, capacity: int) -> bool:
        larger = min(self._needed, capacity * GROWTH)
        if POOLED_BYTES >= larger > FIRST_BYTES * GROWTH:
            larger = POOLED_BYTES
        if not self._pool.budget.take(larger - capacity):
            return False
        self._reserved = larger
        grown = self._pool.acquire(larger)
        grown[: self.filled] = memoryview(self._buffer)[: self.filled]
        self._pool.release(self._buffer)
        self._buffer = grown
        return True

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
