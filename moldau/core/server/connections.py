"""All connections of a broker: who is let in, what they share, and who is ended for being silent."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from moldau.core.base.workers import Worker
from moldau.core.net.receive import Budget, ReceivePool
from moldau.core.server.context import Services
from moldau.core.server.registry import Table
from moldau.core.server.session import Session

if TYPE_CHECKING:
    from moldau.core.server.config import Endpoint

log = logging.getLogger("moldau.server")

REFUSAL_LOG_INTERVAL_S = 10.0


class Connections:
    """Shared by every session: buffers, budgets, limits, the table of endpoints."""

    __slots__ = (
        "_by_host",
        "_last_refusal_logged",
        "_servers",
        "_sessions",
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
        self.answers_max = config.pipeline_max_answers
        self.answer_bytes_max = config.pipeline_max_bytes
        self.now_ms = services.clock.monotonic_ms()
        self.quiescing = False  # the broker stops: nothing more is decided
        self._sessions: set[Session] = set()
        self._by_host: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []
        self._last_refusal_logged = -REFUSAL_LOG_INTERVAL_S

    @property
    def count(self) -> int:
        return len(self._sessions)

    # -- listeners

    async def listen(self, endpoint: Endpoint) -> int:
        """Accept connections at `endpoint`; returns the port (the kernel's choice when 0 was asked)."""
        server = await self.services.loop.create_server(
            lambda: Session(self, endpoint.name),
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

    def admit(self, session: Session) -> bool:
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

    def left(self, session: Session) -> None:
        """A connection that was let in is gone."""
        self._sessions.discard(session)
        left = self._by_host[session.peer_host] - 1
        if left:
            self._by_host[session.peer_host] = left
        else:
            del self._by_host[session.peer_host]

    def _say_refused(self, host: str) -> None:
        now = time.monotonic()
        if now - self._last_refusal_logged >= REFUSAL_LOG_INTERVAL_S:
            self._last_refusal_logged = now
            log.warning("refused a connection from %s: %d are open, the limit is reached", host, len(self._sessions))

    # -- time

    def tick(self, now_ms: int) -> None:
        """End connections whose half-sent request stalls, and those silent for too long."""
        self.now_ms = now_ms
        config = self.services.config
        stall_before = now_ms - config.frame_stall_timeout_ms
        idle_before = now_ms - config.connections_max_idle_ms
        for session in list(self._sessions):
            if session.stalled and session.last_active_ms < stall_before:
                log.info("closing %s: its request stalled", session.peer_host)
                session.close()
            elif session.last_active_ms < idle_before and config.connections_max_idle_ms >= 0 and session.idle:
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
