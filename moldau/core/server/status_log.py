"""One line of the broker's log every so often: that it is alive, and what it did since the last one.

It keeps no counters of its own and adds nothing to a request: it looks at numbers that are there anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger("moldau.server")


class Status(NamedTuple):
    """`appended`: the end offsets of all logs together, which grows by one with each record."""

    connections: int
    partitions: int
    appended: int


class StatusLog:
    """Call `tick` with monotonic time; it asks for the status when a line is due. An interval of 0: never."""

    def __init__(self, interval_ms: int, look: Callable[[], Status]) -> None:
        self._interval_ms = interval_ms
        self._look = look
        self._due_ms: int | None = None
        self._appended = 0

    def tick(self, now_ms: int) -> None:
        if not self._interval_ms:
            return
        if self._due_ms is None:
            self._appended = self._look().appended
        elif now_ms < self._due_ms:
            return
        else:
            status = self._look()
            # A log that was deleted takes its records out of the sum.
            new = max(0, status.appended - self._appended)
            self._appended = status.appended
            log.info(
                "%d connections, %d partitions, %d records in the last %g s",
                *(status.connections, status.partitions, new, self._interval_ms / 1000),
            )
        self._due_ms = now_ms + self._interval_ms
