"""Producer ids for idempotent producers, out of the blocks that the controller hands out (KIP-730)."""

from __future__ import annotations

from collections.abc import Callable

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending


class ProducerIds:
    """Hands out ids one by one; asks for the next block when one is used up, and lets everyone wait for it."""

    __slots__ = ("_allocate", "_asked", "_block", "_waiting")

    def __init__(self, allocate: Callable[[], Pending[range | ErrorCode]]) -> None:
        self._allocate = allocate
        self._block: list[int] = []
        self._waiting: list[Pending[int]] = []
        self._asked = False

    def next(self) -> Pending[int]:
        """A producer id that nobody had before. Negative: no block could be had, the value is minus its code."""
        pending: Pending[int] = Pending()
        if self._block:
            pending.complete(self._block.pop())
            return pending
        self._waiting.append(pending)
        if not self._asked:
            self._asked = True
            self._allocate().then(self._got)
        return pending

    def _got(self, block: range | ErrorCode) -> None:
        self._asked = False
        waiting, self._waiting = self._waiting, []
        if isinstance(block, ErrorCode):
            for pending in waiting:
                pending.complete(-block)
            return
        self._block = list(reversed(block))
        for at, pending in enumerate(waiting):
            if not self._block:
                self._waiting = waiting[at:]
                self._asked = True
                self._allocate().then(self._got)
                return
            pending.complete(self._block.pop())
