"""Time as an argument: nothing below the composition root calls `time` itself.

Wall time is for record timestamps and retention; monotonic time is for sessions and waits.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the broker may ask about time."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch; may jump."""

    def monotonic_ms(self) -> int:
        """Milliseconds that never go back; the zero point means nothing."""


class SystemClock:
    """The operating system's clocks."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told: for tests and simulation."""

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic_ms = 0

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def advance(self, ms: int) -> None:
        """Move both clocks on by `ms`."""
        self._wall_ms += ms
        self._monotonic_ms += ms
