"""A small blocking Kafka connection for tests: raw frames out, answers in, requests and answers as declared messages.

Several requests may be on their way at once: `send` returns a correlation id, `receive` takes the answer to it. The
codec is the product's own; that it speaks Kafka is shown by running the same tests against Apache Kafka.
"""

from __future__ import annotations

import socket
import struct
import time
from types import TracebackType
from typing import Any, Self, TypeVar

from moldau.core.protocol.codec import decoder, encoder
from moldau.core.protocol.schema import schema_of

R = TypeVar("R")

API_VERSIONS_KEY = 18


class Closed(Exception):
    """The broker closed the connection."""


class Wire:
    """One connection. Times out with TimeoutError; raises Closed when the broker hangs up."""

    def __init__(
        self, host: str, port: int, *, timeout_s: float = 30.0, client_id: str = "test", source: str = ""
    ) -> None:
        self.socket = socket.create_connection((host, port), timeout_s, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client_id = client_id
        self._correlation_id = 0
        self._answers: dict[int, bytes] = {}

    def send_frame(self, payload: bytes) -> None:
        """Send `payload` with its size before it."""
        self.send_bytes(struct.pack(">i", len(payload)) + payload)

    def send_bytes(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed(str(error)) from error

    def receive_frame(self) -> bytes:
        """The next answer, size taken off."""
        (size,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(size)

    def send(self, request: Any, version: int) -> int:
        """Send a declared request; its correlation id."""
        self._correlation_id += 1
        self.send_frame(frame(request, version, self._correlation_id, self.client_id))
        return self._correlation_id

    def receive(self, correlation_id: int, response: type[R], version: int) -> R:
        """The answer to one request; answers to others are kept for their own call."""
        while correlation_id not in self._answers:
            answer = self.receive_frame()
            self._answers[struct.unpack_from(">i", answer)[0]] = answer
        answer = self._answers.pop(correlation_id)
        message, _ = decoder(response, version)(answer, 4 + _header_tags(response, version, answer), len(answer))
        return message

    def call(self, request: Any, response: type[R], version: int) -> R:
        """Send and wait for the answer."""
        return self.receive(self.send(request, version), response, version)

    def closed_by_broker(self, timeout_s: float = 5.0) -> bool:
        """Whether the broker hangs up within the time, whatever it sends before."""
        deadline = time.monotonic() + timeout_s
        self.socket.settimeout(timeout_s)
        try:
            while time.monotonic() < deadline:
                if not self.socket.recv(65536):
                    return True
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
        return False

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.socket.recv(min(size - len(parts), 1 << 20))
            except ConnectionResetError as error:
                raise Closed(str(error)) from error
            if not part:
                raise Closed("the broker closed the connection")
            parts += part
        return bytes(parts)


def frame(request: Any, version: int, correlation_id: int, client_id: str = "test") -> bytes:
    """A request frame, without its size: header version 1, or 2 with its tags where the version is flexible."""
    schema = schema_of(type(request))
    name = client_id.encode()
    head = struct.pack(">hhih", schema.key, version, correlation_id, len(name)) + name
    if schema.flexible.covers(version):
        head += b"\0"
    return head + encoder(type(request), version)(request)


def _header_tags(response: type[Any], version: int, answer: bytes) -> int:
    """Bytes of the answer's header behind the correlation id. ApiVersions has none in any version."""
    schema = schema_of(response)
    if schema.key == API_VERSIONS_KEY or not schema.flexible.covers(version):
        return 0
    assert answer[4] == 0, "tags in an answer's header"
    return 1
