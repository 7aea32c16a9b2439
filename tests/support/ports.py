"""Free TCP ports on the loopback address. Nothing here listens for longer than the check takes."""

from __future__ import annotations

import random
import socket

# Below Linux's ephemeral range (32768 and up): no outgoing connection takes a port between the check and its use.
FIRST, LAST = 20_000, 32_000

_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on now and that this process has not been given before."""
    generator = random.SystemRandom()
    for _ in range(1_000):
        port = generator.randrange(FIRST, LAST)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port found")
