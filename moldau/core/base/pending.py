"""An answer that something else completes later.

A handler returns either its answer or a `Pending`; it never awaits (decision D9). This is not a
future: it has no loop, runs its listener in the same call that completes it, and can be abandoned
when the connection that wants the answer goes away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# About what a waiting answer of a few fields takes, in bytes of memory.
WEIGHT = 1024


class Pending(Generic[T]):
    """Completed at most once; its one listener hears it in that call, or at once if it came late."""

    __slots__ = ("_listener", "done", "on_abandoned", "value", "weight")

    def __init__(self, on_abandoned: Callable[[], None] | None = None) -> None:
        self.weight = WEIGHT  # bytes it takes while it waits; who makes a large one says so
        self.done = False
        self.value: T | None = None
        self._listener: Callable[[T], None] | None = None
        self.on_abandoned = on_abandoned

    def complete(self, value: T) -> None:
        """Give the answer. A second completion, or one after `abandon`, is ignored."""
        if self.done:
            return
        self.done = True
        self.value = value
        self.on_abandoned = None
        listener = self._listener
        if listener is not None:
            self._listener = None
            listener(value)

    def then(self, listener: Callable[[T], None]) -> None:
        """Call `listener` with the answer, now if it is there already."""
        if self.done:
            if self.value is not None:
                listener(self.value)
            return
        if self._listener is not None:
            raise RuntimeError("a pending answer has one listener")
        self._listener = listener

    def abandon(self) -> None:
        """Nobody wants the answer any more: whoever would complete it may drop its state."""
        if self.done:
            return
        self.done = True
        self._listener = None
        hook, self.on_abandoned = self.on_abandoned, None
        if hook is not None:
            hook()
