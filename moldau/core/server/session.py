"""One connection: frames in, answers out in the order of their requests (decision D9).

Requests are decided in the call that received them. An answer that waits (long poll, join, sync) does not stop
the next ones from being decided; theirs are held behind it, up to a bound, then reading pauses. So does it
while the peer does not take its answers, or while a shared budget is used up.

Never here: what a request means (handlers) and how bytes leave (`core.net.outbox`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from moldau.core.base.errors import CorruptData, ErrorCode, KafkaError, MoldauError
from moldau.core.base.pending import Pending
from moldau.core.net.outbox import Outbox, release
from moldau.core.net.receive import SIZE, Unfinished, impossible_size
from moldau.core.protocol.codec import CannotEncode
from moldau.core.protocol.framing import HEAD, HeaderReader, parse_request_header, response_chunks, response_frame
from moldau.core.protocol.messages.api_versions import ApiVersion
from moldau.core.protocol.registry import API_VERSIONS_KEY
from moldau.core.server.context import Context
from moldau.core.server.registry import Endpoint

if TYPE_CHECKING:
    from moldau.core.server.connections import Connections

log = logging.getLogger("moldau.server")

SIZE_BYTES = SIZE.size
_unpack_size = SIZE.unpack_from
_unpack_head = HEAD.unpack_from
HEAD_BYTES = HEAD.size


class NoAnswer:
    """What a handler returns when the client expects nothing (Produce with acks=0)."""


class CloseConnection(MoldauError):
    """The connection cannot go on: Kafka's way to refuse where no answer can carry the error."""


NO_ANSWER = NoAnswer()


class Session(asyncio.BufferedProtocol):
    """The protocol object of one connection."""

    __slots__ = (
        "_admitted",
        "_backlog",
        "_closed",
        "_connections",
        "_ctx",
        "_headers",
        "_held_bytes",
        "_on_complete",
        "_outbox",
        "_paused",
        "_queue",
        "_table",
        "_transport",
        "_unfinished",
        "last_active_ms",
        "listener_name",
        "peer_host",
    )

    def __init__(self, connections: Connections, listener_name: str) -> None:
        self._connections = connections
        self._table = connections.table
        self.listener_name = listener_name
        self._transport: asyncio.Transport
        self._ctx: Context
        self._outbox: Outbox
        self._unfinished: Unfinished | None = None
        self._backlog = b""  # whole and partial frames that came while reading was about to pause
        # (Pending, correlation id, endpoint) or (encoded chunks, 0, None), oldest first. The first one is always a
        # Pending that is not done: nothing is held unless something waits.
        self._queue: deque[tuple[Any, int, Any]] = deque()
        self._held_bytes = 0
        self._headers = HeaderReader()
        self._paused = False
        self._admitted = False
        self._closed = False  # or about to be
        self._on_complete = self._drain
        self.peer_host = ""
        self.last_active_ms = 0

    # -- the loop's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "pause_reading")
        self._transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername") or ("", 0)
        local = transport.get_extra_info("sockname") or ("", 0)
        self.peer_host = str(peer[0])
        if not self._connections.admit(self):
            self._closed = True
            self._transport.abort()
            return
        self._admitted = True
        services = self._connections.services
        self.last_active_ms = services.clock.monotonic_ms()
        self._ctx = Context(services, self.listener_name, self.peer_host, (str(local[0]), int(local[1])))
        self._outbox = Outbox(
            services.loop,
            transport.get_extra_info("socket").fileno(),
            self._connections.cold_reads,
            self._connections.send_budget,
            self._resume_if_clear,
            self._abort,
        )

    def connection_lost(self, _error: Exception | None) -> None:
        self._closed = True
        if not self._admitted:
            return
        self._outbox.close()
        if self._unfinished is not None:
            self._unfinished.close()
            self._unfinished = None
        for answer, correlation, endpoint in self._queue:
            if endpoint is None:
                release(answer)
            elif answer.done:
                release(self._encode(answer.value, correlation, endpoint))
            else:
                answer.abandon()
        self._queue.clear()
        self._connections.left(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        unfinished = self._unfinished
        if unfinished is None:
            return self._connections.pool.shared_view
        return unfinished.view()

    def buffer_updated(self, size: int) -> None:
        try:
            if self._unfinished is None:
                self._receive(self._connections.pool.shared_view, size)
            else:
                self._receive_more(self._unfinished, size)
        except CorruptData as error:
            log.info("closing %s: %s", self.peer_host, error)
            self._abort()

    def eof_received(self) -> bool:
        return False  # half-closed connections are closed: nobody reads the answers of ours that way

    # -- receiving

    def _receive(self, view: memoryview, end: int) -> None:
        """Cut whole frames from `view` and decide them; what is left becomes an `Unfinished`."""
        at = 0
        connections = self._connections
        self.last_active_ms = connections.now_ms
        frame_max = connections.pool.frame_max
        while end - at >= SIZE_BYTES:
            (size,) = _unpack_size(view, at)
            if not 0 < size <= frame_max:
                raise impossible_size(size, frame_max)
            start = at + SIZE_BYTES
            at = start + size
            if at > end:
                at = start - SIZE_BYTES
                break
            self._decide(view, start, at)
            if self._closed:
                return
            if (self._queue or self._outbox.waiting or connections.quiescing) and self._must_wait():
                self._backlog = bytes(view[at:end])
                self._pause()
                return
        if at < end:
            self._unfinished = Unfinished(self._connections.pool, view[at:end])
            self._make_room()

    def _receive_more(self, unfinished: Unfinished, size: int) -> None:
        unfinished.received(size)
        self.last_active_ms = self._connections.now_ms
        if not unfinished.complete:
            self._make_room()
            return
        frame = unfinished.frame
        self._unfinished = None
        try:
            self._decide(frame, 0, len(frame))
        finally:
            frame.release()
            unfinished.close()
        if not self._closed and self._must_wait():
            self._pause()

    def _make_room(self) -> None:
        """Reserve the next bytes of the unfinished frame, or stop reading until the budget has them."""
        unfinished = self._unfinished
        if self._closed or unfinished is None:
            return
        if unfinished.reserve():
            if self._paused and not self._must_wait():
                self._paused = False
                self._transport.resume_reading()
            return
        self._pause()
        self._connections.pool.budget.wait(self._make_room)

    # -- deciding

    def _decide(self, view: memoryview, start: int, end: int) -> None:
        """Decode one request, have it handled, and send or queue its answer."""
        if start + HEAD_BYTES > end:
            raise CorruptData("a request shorter than its header")
        key, version, correlation = _unpack_head(view, start)
        endpoint = self._table.ready.get(key << 16 | version)
        if endpoint is None:
            endpoint = self._table.resolve(key, version)
            if endpoint is None:
                self._refuse_version(key, version, correlation, (view, start, end))
                return
        ctx = self._ctx
        headers = self._headers
        body = headers.body_start(view, start, end, endpoint.request_flexible)
        ctx.client_id = headers.client_id
        request = endpoint.decode(view, body, end)[0]
        try:
            answer = endpoint.handle(ctx, request, version)
        except KafkaError as error:
            answer = self._refused(endpoint, error.code, error.message)
        except CloseConnection as error:
            log.info("closing %s: %s", self.peer_host, error)
            self._close()
            return
        except Exception:
            log.exception("%s failed", endpoint.api.name)
            answer = self._refused(endpoint, ErrorCode.UNKNOWN_SERVER_ERROR, None)
        if answer is NO_ANSWER:
            return
        if isinstance(answer, Pending):
            if not answer.done:
                self._queue.append((answer, correlation, endpoint))
                answer.then(self._on_complete)
                return
            answer = answer.value
        self._queue_or_send(answer, correlation, endpoint)

    def _refused(self, endpoint: Endpoint, code: ErrorCode, message: str | None) -> Any:
        """An answer that is nothing but an error, where the API has a place for it; else the connection closes."""
        response = endpoint.api.response
        if not hasattr(response, "error_code"):
            self._close()
            return NO_ANSWER
        answer = response()
        answer.error_code = code
        if message is not None and hasattr(answer, "error_message"):
            answer.error_message = message
        return answer

    def _refuse_version(self, key: int, version: int, correlation: int, frame: tuple[memoryview, int, int]) -> None:
        """Kafka answers only ApiVersions of an unknown version (with version 0 and error 35); all else closes."""
        if key != API_VERSIONS_KEY:
            log.info("closing %s: API %d version %d is not served", self.peer_host, key, version)
            self._close()
            return
        parse_request_header(*frame, self._table.flexible_request(key, version))
        oldest = self._table.ready.get(key << 16) or self._table.resolve(key, 0)
        assert oldest is not None
        answer = oldest.api.response()
        answer.error_code = ErrorCode.UNSUPPORTED_VERSION
        answer.api_keys = [ApiVersion(key, oldest.api.min_version, oldest.api.max_version)]
        self._queue_or_send(answer, correlation, oldest)

    # -- answering

    def _queue_or_send(self, answer: Any, correlation: int, endpoint: Endpoint) -> None:
        if self._queue:
            self._hold(answer, correlation, endpoint)
        else:
            self._send(answer, correlation, endpoint)

    def _hold(self, answer: Any, correlation: int, endpoint: Endpoint) -> None:
        """Keep an answer behind one that waits, encoded: its bytes are what the pipeline bound counts."""
        chunks = self._encode(answer, correlation, endpoint)
        self._held_bytes += sum(len(chunk) for chunk in chunks if isinstance(chunk, bytes))
        self._queue.append((chunks, 0, None))

    def _send(self, answer: Any, correlation: int, endpoint: Endpoint) -> None:
        chunks = self._encode(answer, correlation, endpoint)
        if len(chunks) == 1:
            self._outbox.write(chunks[0])
        elif chunks:
            self._outbox.write_chunks(chunks)

    def _encode(self, answer: Any, correlation: int, endpoint: Endpoint) -> list[Any]:
        """The whole frame of an answer: bytes, and slices of files where it holds records."""
        encode = endpoint.encode
        try:
            if encode is None:
                return response_chunks(correlation, endpoint.encode_chunks(answer), endpoint.response_flexible)
            body = answer if type(answer) is bytes else encode(answer)
        except CannotEncode:
            log.exception("an answer of %s does not fit version %d", endpoint.api.name, endpoint.version)
            self._abort()
            return []
        return [response_frame(correlation, body, endpoint.response_flexible)]

    def _drain(self, _value: Any) -> None:
        """A waiting answer came: send it and all that are ready behind it, in order."""
        if self._closed:
            return
        queue = self._queue
        if len(queue) == 1:
            answer, correlation, endpoint = queue.popleft()
            ready = self._encode(answer.value, correlation, endpoint)
        else:
            ready = self._ready()
        if len(ready) == 1:
            self._outbox.write(ready[0])
        elif ready:
            self._outbox.write_chunks(ready)
        if self._paused:
            self._resume_if_clear()

    def _ready(self) -> list[Any]:
        """What may leave now, from the front of the queue; neighbouring bytes in one piece."""
        queue = self._queue
        ready: list[Any] = []
        while queue:
            answer, correlation, endpoint = queue[0]
            if endpoint is None:
                self._held_bytes -= sum(len(chunk) for chunk in answer if isinstance(chunk, bytes))
                ready.extend(answer)
            elif answer.done:
                ready.extend(self._encode(answer.value, correlation, endpoint))
            else:
                break
            queue.popleft()
        return ready

    # -- backpressure

    def _must_wait(self) -> bool:
        """Whether the next request has to wait: the peer takes no answers, or too many are held."""
        connections = self._connections
        if self._outbox.waiting or connections.quiescing:
            return True
        if connections.send_budget.exceeded:
            connections.send_budget.wait(self._resume_if_clear)
            return True
        return len(self._queue) > connections.answers_max or self._held_bytes > connections.answer_bytes_max

    def _pause(self) -> None:
        if not self._paused and not self._closed:
            self._paused = True
            self._transport.pause_reading()

    def _resume_if_clear(self) -> None:
        """Go on with what came before reading paused, then read again."""
        if not self._paused or self._closed or self._must_wait():
            return
        backlog, self._backlog = self._backlog, b""
        if backlog:
            self._paused = False
            try:
                self._receive(memoryview(backlog), len(backlog))
            except CorruptData as error:
                log.info("closing %s: %s", self.peer_host, error)
                self._abort()
                return
            if self._paused or self._closed:
                return
            self._transport.resume_reading()
        elif self._unfinished is not None:
            self._make_room()
        else:
            self._paused = False
            self._transport.resume_reading()

    # -- ends

    def quiesce(self) -> None:
        """Decide nothing more; what was decided is still answered."""
        self._pause()

    @property
    def untaken(self) -> bool:
        """Answers were given that the peer has not taken."""
        return bool(self._outbox.waiting)

    @property
    def idle(self) -> bool:
        """Nothing is being answered or received."""
        return not self._queue and self._unfinished is None and not self._outbox.waiting

    @property
    def stalled(self) -> bool:
        """A request began and is not whole."""
        return self._unfinished is not None

    def close(self) -> None:
        """End the connection from our side."""
        self._close()

    def _close(self) -> None:
        self._closed = True
        self._transport.close()

    def _abort(self) -> None:
        self._closed = True
        self._transport.abort()
