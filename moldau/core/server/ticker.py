"""The broker's heartbeat: everything that happens because time went by, in one timer.

When a tick comes late, the loop was busy or the machine asleep, and what members and clients sent meanwhile
still waits in their sockets. So a late tick first lets the loop read them and only then expires anyone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from moldau.core.base.clock import Clock

log = logging.getLogger("moldau.server")

INTERVAL_MS = 100
LATE_MS = 3 * INTERVAL_MS


class Ticker:
    """Calls `tick(now_ms)` of everyone who asked, about ten times a second."""

    __slots__ = ("_clock", "_due_ms", "_handle", "_loop", "_ticks")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, ticks: list[Callable[[int], None]]) -> None:
        self._loop = loop
        self._clock = clock
        self._ticks = ticks
        self._due_ms = 0
        self._handle: asyncio.Handle | None = None

    def start(self) -> None:
        self._due_ms = self._clock.monotonic_ms() + INTERVAL_MS
        self._handle = self._loop.call_later(INTERVAL_MS / 1000, self._due)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _due(self) -> None:
        late_ms = self._clock.monotonic_ms() - self._due_ms
        if late_ms > LATE_MS:
            log.warning("the event loop was %d ms late", late_ms)
            # A turn for the sockets that became readable, and one for what their requests put off.
            self._handle = self._loop.call_later(0, lambda: self._loop.call_soon(self._tick))
        else:
            self._tick()

    def _tick(self) -> None:
        if self._handle is None:
            return
        now_ms = self._clock.monotonic_ms()
        for tick in self._ticks:
            try:
                tick(now_ms)
            except Exception:
                log.exception("a timer failed; it will be tried again at the next tick")
        self.start()
