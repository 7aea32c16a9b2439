"""All connections of a broker: who is let in, what they share, and who is ended for being silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from moldau.core.base.workers import Worker
from moldau.core.net.receive import Budget, ReceivePool
from moldau.core.server.context import Services
from moldau.core.server.registry import Table

if TYPE_CHECKING:
    from moldau.core.server.config import Endpoint

log = logging.getLogger("moldau.server")

REFUSAL_LOG_INTERVAL_MS = 10_000
# Every connection is looked at within so many ticks, so that ten thousand do not hold up the loop at once.
TICKS_TO_LOOK = 5
LOOK_AT_LEAST = 250


class Member(Protocol):
    """What is asked of one connection (`session.Session`)."""

    peer_host: str

    @property
    def held_bytes(self) -> int:
        """Bytes of its answers that wait in memory."""

    @property
    def untaken(self) -> bool:
        """Answers were given that the peer has not taken."""

    def overdue(self, now_ms: int) -> str:
        """Why it has to end; empty when it may stay."""

    def quiesce(self) -> None:
        """Decide nothing more."""

    def drop(self) -> None:
        """End at once."""

    def close(self) -> None:
        """End in order."""


# The protocol object of a new connection, and the listener's name it came by.
SessionMaker = Callable[["Connections", str], asyncio.BufferedProtocol]


class Connections:
    """Shared by every session: buffers, budgets, limits, the table of endpoints."""

    __slots__ = (
        "_by_host",
        "_refusal_log_due_ms",
        "_relieving",
        "_servers",
        "_sessions",
        "_to_look_at",
        "answer_bytes_max",
        "answers_max",
        "cold_reads",
        "now_ms",
        "pool",
        "quiescing",
        "send_budget",
        "services",
        "table",
    )

    def __init__(self, services: Services, table: Table, cold_reads: Worker) -> None:
        config = services.config
        self.services = services
        self.table = table
        self.cold_reads = cold_reads
        self.pool = ReceivePool(Budget(config.receive_budget_bytes), config.socket_request_max_bytes)
        self.send_budget = Budget(config.send_budget_bytes)
        self.send_budget.on_exceeded = self._too_much_held
        self.answers_max = config.pipeline_max_answers
        self.answer_bytes_max = config.pipeline_max_bytes
        self.now_ms = services.clock.monotonic_ms()
        self.quiescing = False  # the broker stops: nothing more is decided
        self._sessions: set[Member] = set()
        self._by_host: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []
        self._refusal_log_due_ms = self.now_ms
        self._relieving = False
        self._to_look_at: list[Member] = []

    @property
    def count(self) -> int:
        return len(self._sessions)

    # -- listeners

    async def listen(self, endpoint: Endpoint, make_session: SessionMaker) -> int:
        """Accept connections at `endpoint`; returns the port (the kernel's choice when 0 was asked)."""
        server = await self.services.loop.create_server(
            lambda: make_session(self, endpoint.name),
            endpoint.host or None,
            endpoint.port,
            backlog=self.services.config.socket_listen_backlog_size,
        )
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def stop_listening(self) -> None:
        """Take no new connections; those that are here go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    # -- members

    def admit(self, session: Member) -> bool:
        """Let a new connection in, unless a limit is reached."""
        config = self.services.config
        host = session.peer_host
        from_host = self._by_host.get(host, 0)
        if len(self._sessions) >= config.max_connections or from_host >= config.max_connections_per_ip:
            self._say_refused(host)
            return False
        self._sessions.add(session)
        self._by_host[host] = from_host + 1
        return True

    def left(self, session: Member) -> None:
        """A connection that was let in is gone."""
        self._sessions.discard(session)
        left = self._by_host[session.peer_host] - 1
        if left:
            self._by_host[session.peer_host] = left
        else:
            del self._by_host[session.peer_host]

    def _say_refused(self, host: str) -> None:
        if self.now_ms >= self._refusal_log_due_ms:
            self._refusal_log_due_ms = self.now_ms + REFUSAL_LOG_INTERVAL_MS
            log.warning("refused a connection from %s: %d are open, the limit is reached", host, len(self._sessions))

    # -- memory

    def _too_much_held(self) -> None:
        """Answers that nobody takes use up their budget: relieve it once this turn of the loop is over."""
        if not self._relieving:
            self._relieving = True
            self.services.loop.call_soon(self._relieve)

    def _relieve(self) -> None:
        """End those who hold the most, so that all others are served on."""
        self._relieving = False
        while self.send_budget.exceeded and self._sessions:
            session = max(self._sessions, key=_held_bytes)
            if not session.held_bytes:
                break
            log.warning("closing %s: %d bytes of answers wait for it", session.peer_host, session.held_bytes)
            session.drop()

    # -- time

    def tick(self, now_ms: int) -> None:
        """End connections whose half-sent request stalls, and those silent for too long."""
        self.now_ms = now_ms
        if self.send_budget.exceeded:
            self._too_much_held()
        if not self._to_look_at:
            self._to_look_at = list(self._sessions)
        for _ in range(min(len(self._to_look_at), max(LOOK_AT_LEAST, len(self._sessions) // TICKS_TO_LOOK))):
            session = self._to_look_at.pop()
            why = session.overdue(now_ms) if session in self._sessions else ""
            if why:
                log.info("closing %s: %s", session.peer_host, why)
                session.close()

    # -- ends

    def quiesce(self) -> None:
        """Read no more requests; what was decided is still answered."""
        self.quiescing = True
        for session in self._sessions:
            session.quiesce()

    @property
    def untaken(self) -> bool:
        """Some peer has not taken its answers yet."""
        return any(session.untaken for session in self._sessions)

    def close(self) -> None:
        """End every connection."""
        for session in list(self._sessions):
            session.close()


def _held_bytes(session: Member) -> int:
    return session.held_bytes
