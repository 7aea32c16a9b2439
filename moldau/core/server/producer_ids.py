"""Producer ids for idempotent producers, out of the blocks that the controller hands out (KIP-730)."""

from __future__ import annotations

from collections.abc import Callable

from moldau.core.base.errors import Refusal
from moldau.core.base.pending import Pending


class ProducerIds:
    """Hands out ids one by one; asks for the next block when one is used up, and lets everyone wait for it."""

    __slots__ = ("_allocate", "_asked", "_block", "_waiting")

    def __init__(self, allocate: Callable[[], Pending[range | Refusal]]) -> None:
        self._allocate = allocate
        self._block: list[int] = []
        self._waiting: list[Pending[int | Refusal]] = []
        self._asked = False

    def next(self) -> Pending[int | Refusal]:
        """A producer id that nobody had before, or why no block of them could be had."""
        pending: Pending[int | Refusal] = Pending()
        if self._block:
            pending.complete(self._block.pop())
            return pending
        self._waiting.append(pending)
        if not self._asked:
            self._ask()
        return pending

    def _ask(self) -> None:
        self._asked = True
        self._allocate().then(self._got)

    def _got(self, block: range | Refusal) -> None:
        self._asked = False
        waiting, self._waiting = self._waiting, []
        if isinstance(block, Refusal):
            for pending in waiting:
                pending.complete(block)
            return
        self._block = list(reversed(block))
        for at, pending in enumerate(waiting):
            if not self._block:
                self._waiting = waiting[at:] + self._waiting
                if not self._asked:
                    self._ask()
                return
            pending.complete(self._block.pop())
