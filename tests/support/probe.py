"""The smallest question to a broker: "which brokers are there?", as Metadata v1 in a few bytes.

Used to find out that a broker serves; it must not depend on the codec under test.
"""

from __future__ import annotations

import contextlib
import socket
import struct

# Size, api key 3, version 1, correlation id, null client id, no topics.
_METADATA_V1 = struct.pack(">ihhihi", 14, 3, 1, 7, -1, 0)


def serves(host: str, port: int, timeout_s: float = 2.0) -> bool:
    """Whether the broker answers Metadata and names at least one live broker."""
    with contextlib.suppress(OSError, struct.error), socket.create_connection((host, port), timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(_METADATA_V1)
        answer = _exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0])
        correlation_id, brokers = struct.unpack_from(">ii", answer)
        return bool(correlation_id == 7 and brokers > 0)
    return False


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise OSError("closed")
        parts += part
    return bytes(parts)
