"""Answers that wait for a partition: produced batches for their acknowledgement, fetches for bytes.

Pure bookkeeping: a `Partition` tells these when its offsets move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import WEIGHT, Pending


class Settled(Protocol):
    """What waits for an offset to be acknowledged."""

    deadline_ms: int

    def settled(self, part: Any, code: ErrorCode) -> None:
        """The offset is acknowledged (NONE), or never will be. `part` is what was given with the wait."""


class ProducePending(Pending[Any]):
    """A Produce answer that waits for each of its partitions.

    `part` is that partition's piece of the answer; its error is filled in here.
    """

    __slots__ = ("deadline_ms", "remaining", "response")

    def __init__(self, response: Any, deadline_ms: int) -> None:
        self.weight = WEIGHT
        self.done = False
        self.value = None
        self._listener = None
        self.on_abandoned = None
        self.response = response
        self.remaining = 0
        self.deadline_ms = deadline_ms

    def settled(self, part: Any, code: ErrorCode) -> None:
        if code:
            part.error_code = code
            if code is not ErrorCode.REQUEST_TIMED_OUT:  # then the batch is in the log, and its offset true
                part.base_offset = -1
                part.log_append_time_ms = -1
        self.remaining -= 1
        if self.remaining == 0 and not self.done:  # `complete`, without the call: this is the hot path
            self.done = True
            self.value = self.response
            listener = self._listener
            if listener is not None:
                self._listener = None
                listener(self.value)


class Callback:
    """A plain function that waits for an offset (coordinators, ListOffsets)."""

    __slots__ = ("_then", "deadline_ms")

    def __init__(self, then: Callable[[ErrorCode], None], deadline_ms: int) -> None:
        self._then = then
        self.deadline_ms = deadline_ms

    def settled(self, part: Any, code: ErrorCode) -> None:  # noqa: ARG002 - the shape of `Settled`
        self._then(code)


class FetchWaiter(Protocol):
    """What waits for records to become visible."""

    def advanced(self, partition: Any) -> None:
        """Something changed in `partition`: more may be read, or it failed or went away."""
