"""The answers of one connection, in the order of their requests.

An answer that waits holds back those behind it; they are kept encoded, with counted references to slices of files.
What waits and what is held counts against the budget of answers.

Never here: what is asked (sessions) and how bytes leave (`core.net.outbox`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from moldau.core.base.options import KIB
from moldau.core.base.pending import Pending
from moldau.core.net.outbox import Outbox, release
from moldau.core.net.receive import Budget
from moldau.core.protocol.framing import response_chunks, response_frame
from moldau.core.server.registry import Endpoint

log = logging.getLogger("moldau.server")

HEAVY = 64 * KIB  # from here on a waiting answer counts at once, below at the next sweep


class Answers:
    """See the module. `on_less` is called when fewer answers wait, `on_broken` when one cannot be encoded."""

    __slots__ = (
        "_budget",
        "_on_broken",
        "_on_came",
        "_on_less",
        "_outbox",
        "closed",
        "held_bytes",
        "queue",
        "waiting_bytes",
    )

    def __init__(
        self, outbox: Outbox, budget: Budget, on_less: Callable[[], None], on_broken: Callable[[], None]
    ) -> None:
        self._outbox = outbox
        self._budget = budget
        self._on_less = on_less
        self._on_broken = on_broken
        self._on_came = self._came
        # (Pending, correlation id, endpoint) or (encoded chunks, 0, None), oldest first. The first one is always a
        # Pending that is not done: nothing is held unless something waits. For others to look at only.
        self.queue: deque[tuple[Any, int, Any]] = deque()
        self.held_bytes = 0
        self.waiting_bytes = 0  # what those who wait take
        self.closed = False

    def give(self, answer: Any, correlation: int, endpoint: Endpoint) -> None:
        """An answer that is there: it leaves now, or behind those that wait."""
        if self.queue:
            self.queue.append((self._held(answer, correlation, endpoint), 0, None))
            return
        chunks = self._encode(answer, correlation, endpoint)
        if len(chunks) == 1:
            self._outbox.write(chunks[0])
        elif chunks:
            self._outbox.write_chunks(chunks)

    def wait(self, answer: Pending[Any], correlation: int, endpoint: Endpoint) -> None:
        """An answer that something else completes."""
        self.queue.append((answer, correlation, endpoint))
        weight = answer.weight
        self.waiting_bytes += weight
        if weight < HEAVY:
            self._budget.used += weight  # `charge`, without the call: this is the hot path
        else:
            self._budget.charge(weight)
        answer.then(self._on_came)

    def close(self) -> None:
        """Nobody wants them any more: whoever would complete one may drop its state."""
        self.closed = True
        queue, self.queue = self.queue, deque()
        for answer, correlation, endpoint in queue:
            if endpoint is None:
                release(answer)
            elif answer.done:
                release(self._encode(answer.value, correlation, endpoint))
            else:
                answer.abandon()
        self._budget.give_back(self.held_bytes + self.waiting_bytes)
        self.held_bytes = self.waiting_bytes = 0

    def _came(self, _value: Any) -> None:
        """A waiting answer came: send it and all that are ready behind it, in order."""
        if self.closed:
            return
        queue = self.queue
        if len(queue) == 1:
            answer, correlation, endpoint = queue.popleft()
            self.waiting_bytes -= answer.weight
            self._budget.used -= answer.weight
            ready = self._encode(answer.value, correlation, endpoint)
        elif queue[0][0].done:
            ready = self._ready()
        else:
            self._hold_done()
            return
        if self.closed:
            release(ready)
            return
        if len(ready) == 1:
            self._outbox.write(ready[0])
        elif ready:
            self._outbox.write_chunks(ready)
        self._on_less()

    def _ready(self) -> list[Any]:
        """What may leave now, from the front of the queue."""
        queue = self.queue
        ready: list[Any] = []
        held = waited = 0
        while queue:
            answer, correlation, endpoint = queue[0]
            if endpoint is None:
                held += _bytes_in(answer)
                ready.extend(answer)
            elif answer.done:
                waited += answer.weight
                ready.extend(self._encode(answer.value, correlation, endpoint))
            else:
                break
            queue.popleft()
        self.held_bytes -= held
        self.waiting_bytes -= waited
        self._budget.give_back(held + waited)
        return ready

    def _hold_done(self) -> None:
        """Answers that came behind one that waits are held like those that never waited."""
        for at, (answer, correlation, endpoint) in enumerate(self.queue):
            if endpoint is not None and answer.done:
                self.queue[at] = (self._held(answer.value, correlation, endpoint), 0, None)
                self.waiting_bytes -= answer.weight
                self._budget.give_back(answer.weight)

    def _held(self, answer: Any, correlation: int, endpoint: Endpoint) -> list[Any]:
        chunks = self._encode(answer, correlation, endpoint)
        size = _bytes_in(chunks)
        self.held_bytes += size
        self._budget.charge(size)
        return chunks

    def _encode(self, answer: Any, correlation: int, endpoint: Endpoint) -> list[Any]:
        """The whole frame of an answer: bytes, and slices of files where it holds records.

        Nothing gets out of here: those who complete a waiting answer have others to serve.
        """
        encode = endpoint.encode
        try:
            if encode is None:
                return response_chunks(correlation, endpoint.encode_chunks(answer), endpoint.response_flexible)
            body = answer if type(answer) is bytes else encode(answer)
        except Exception:
            log.exception("an answer of %s cannot be encoded: closing its connection", endpoint.api.name)
            self.closed = True
            self._on_broken()
            return []
        return [response_frame(correlation, body, endpoint.response_flexible)]


def _bytes_in(chunks: list[Any]) -> int:
    return sum(len(chunk) for chunk in chunks if isinstance(chunk, bytes))
