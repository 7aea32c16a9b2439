"""A broker in this process whose connections a test looks at from both ends, checked for what is left behind."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from moldau.core.protocol.messages.api_versions import ApiVersionsRequest
from moldau.core.server.session import Session
from tests.support.inprocess import HeldFiles, InProcess
from tests.support.wire import Wire

LOOPS = ["asyncio", "uvloop"]
STALL_MS, IDLE_MS = 30_000, 600_000  # the defaults


class Server:
    """A broker, its connections, and what became of them."""

    def __init__(self, broker: InProcess, files: HeldFiles) -> None:
        self.broker = broker
        self.files = files
        self.wires: list[Wire] = []

    @property
    def connections(self) -> Any:
        return self.broker.broker._connections

    def connect(self) -> Wire:
        wire = self.broker.connect()
        self.wires.append(wire)
        return wire

    def session_of(self, wire: Wire) -> Session:
        """The broker's end of a connection."""
        port = wire.socket.getsockname()[1]
        sessions: list[Session] = []

        def found() -> bool:
            sessions[:] = [
                session
                for session in self.connections._sessions
                if session._transport.get_extra_info("peername")[1] == port
            ]
            return bool(sessions)

        self.until(found)
        return sessions[0]

    def until(self, state: Callable[[], Any]) -> None:
        """Let the loop go round until `state`, seen from the loop, holds."""
        deadline = time.monotonic() + 20.0
        while not self.broker.on_loop(state):
            assert time.monotonic() < deadline, "it never came to that"

    def tick(self, after_ms: int) -> None:
        """As if so much time had gone by."""
        now = self.broker.broker._clock.monotonic_ms()

        def tick() -> None:
            self.connections.tick(now + after_ms)
            self.connections.now_ms = now

        self.broker.on_loop(tick)

    def end(self) -> None:
        """Every connection gone, nothing is held any more."""
        for wire in self.wires:
            wire.close()
        self.wires.clear()
        self.files.release()
        connections = self.connections
        self.until(lambda: connections.count == 0)
        assert (connections.pool.budget.used, connections.pool.budget.contended) == (0, False)
        assert connections.send_budget.used == 0
        assert connections._by_host == {}
        assert self.broker.errors == []


def server_on(directory: Path, loop: str, **settings: str) -> Iterator[Server]:
    files = HeldFiles()
    texts = {key.replace("_", "."): value for key, value in settings.items()}
    with InProcess(directory, texts, files=files, loop=loop) as broker:
        server = Server(broker, files)
        try:
            yield server
        finally:
            files.release()
        server.end()


def api_versions(wire: Wire) -> int:
    return wire.send(ApiVersionsRequest("test", "1"), 3)


def answers(wire: Wire, count: int) -> list[int]:
    """Correlation ids of the next answers, in the order they come."""
    return [struct.unpack_from(">i", wire.receive_frame())[0] for _ in range(count)]
