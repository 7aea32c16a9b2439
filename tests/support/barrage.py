"""Many short connections at once, each with some bytes to send: what came back is only counted."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Shot:
    """One connection: what is left to send, and when it is given up."""

    left: memoryview
    give_up: float
    heard: int = 0


@dataclass(slots=True)
class Barrage:
    """Sends so many of the `shots`, at most `width` at a time, each at most `patience_s` waiting for an answer."""

    host: str
    port: int
    shots: Iterator[bytes]
    width: int = 64
    patience_s: float = 0.1
    outcomes: Counter[str] = field(default_factory=Counter)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self, count: int) -> Counter[str]:
        """How many were "answered", "closed" by the broker, left in "silence", or "refused" a connection."""
        fired = 0
        while fired < count or self._selector.get_map():
            while fired < count and len(self._selector.get_map()) < self.width:
                self._open(next(self.shots))
                fired += 1
            for key, events in self._selector.select(0.02):
                self._move(key, events)
            self._give_up()
        return self.outcomes

    def _open(self, data: bytes) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.connect((self.host, self.port))
        shot = Shot(memoryview(data), time.monotonic() + self.patience_s)
        self._selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, shot)

    def _move(self, key: selectors.SelectorKey, events: int) -> None:
        connection, shot = key.fileobj, key.data
        assert isinstance(connection, socket.socket)
        try:
            if events & selectors.EVENT_WRITE and shot.left:
                shot.left = shot.left[connection.send(shot.left) :]
            if not shot.left:
                self._selector.modify(connection, selectors.EVENT_READ, shot)
            if events & selectors.EVENT_READ:
                heard = connection.recv(65536)
                shot.heard += len(heard)
                if not heard:
                    self._close(connection, "answered" if shot.heard else "closed")
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._close(connection, "refused")
        except OSError:
            self._close(connection, "answered" if shot.heard else "closed")

    def _give_up(self) -> None:
        now = time.monotonic()
        for key in list(self._selector.get_map().values()):
            if key.data.give_up < now:
                assert isinstance(key.fileobj, socket.socket)
                self._close(key.fileobj, "answered" if key.data.heard else "silence")

    def _close(self, connection: socket.socket, outcome: str) -> None:
        self._selector.unregister(connection)
        connection.close()
        self.outcomes[outcome] += 1
