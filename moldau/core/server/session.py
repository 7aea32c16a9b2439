"""One connection: frames in, answers out in the order of their requests (decision D9).

Requests are decided in the call that received them. An answer that waits (long poll, join, sync) does not stop
the next ones from being decided; theirs are held behind it, up to a bound, then reading pauses. So does it
while the peer does not take its answers, or while the budget for unfinished frames is used up.

After something that cannot be answered (a frame that is none, an API that is not served, acks=0 that failed)
nothing more is decided, and the connection closes once all that was asked before is answered.

Never here: what a request means (handlers), the order of answers (`answers.py`), how bytes leave (`core.net.outbox`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from moldau.core.base.errors import CorruptData, ErrorCode, KafkaError, MoldauError
from moldau.core.base.pending import Pending
from moldau.core.net.outbox import Outbox
from moldau.core.net.receive import SIZE, Unfinished, impossible_size
from moldau.core.protocol.framing import HEAD, HeaderReader, parse_request_header
from moldau.core.protocol.messages.api_versions import ApiVersion
from moldau.core.protocol.registry import API_VERSIONS_KEY
from moldau.core.server.answers import Answers
from moldau.core.server.context import Context
from moldau.core.server.registry import Endpoint

if TYPE_CHECKING:
    from moldau.core.server.connections import Connections

log = logging.getLogger("moldau.server")

SIZE_BYTES = SIZE.size
TURN_MAX = 256  # requests of one connection that are decided before others have their turn
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
        "_answers",
        "_backlog",
        "_closed",
        "_connections",
        "_ctx",
        "_finishing",
        "_headers",
        "_in_line",
        "_mark",
        "_outbox",
        "_paused",
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
        self._answers: Answers
        self._outbox: Outbox
        self._unfinished: Unfinished | None = None
        self._in_line = False  # the unfinished frame waits for room in the budget
        self._backlog = b""  # whole and partial frames that came while reading was about to pause
        self._headers = HeaderReader()
        self._paused = False
        self._admitted = False
        self._closed = False  # nothing more is decided
        self._finishing = False  # the connection closes once all is answered
        self._mark = (0, 0)
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
        self.last_active_ms = self._connections.now_ms
        self._ctx = Context(services, self.listener_name, self.peer_host, (str(local[0]), int(local[1])))
        budget = self._connections.send_budget
        self._outbox = Outbox(
            services.loop,
            transport.get_extra_info("socket").fileno(),
            self._connections.cold_reads,
            budget,
            self._less_waits,
            self._abort,
        )
        self._answers = Answers(self._outbox, budget, self._less_waits, self._abort)

    def connection_lost(self, _error: Exception | None) -> None:
        self._closed = True
        if self._admitted:
            self._connections.left(self)
            self._let_go()

    def get_buffer(self, _sizehint: int) -> memoryview:
        unfinished = self._unfinished
        if unfinished is None:
            return self._connections.pool.room
        return unfinished.view()

    def buffer_updated(self, size: int) -> None:
        """The border that no error of receiving or deciding passes."""
        try:
            if self._unfinished is None:
                self._receive(self._connections.pool.shared_view, size)
            else:
                self._receive_more(size)
        except CorruptData as error:
            self._say_and_finish(error)
        except Exception:
            log.exception("closing %s", self.peer_host)
            self._abort()

    def eof_received(self) -> bool:
        self._closed = True
        return False  # half-closed connections are closed: nobody reads the answers of ours that way

    # -- receiving

    def _receive(self, view: memoryview, end: int) -> None:
        """Cut whole frames from `view` and decide them; what is left becomes an `Unfinished`."""
        at = 0
        connections, answers, outbox = self._connections, self._answers, self._outbox
        self.last_active_ms = connections.now_ms
        frame_max = connections.pool.frame_max
        left = TURN_MAX
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
            left -= 1
            if (answers.queue or outbox.waiting or connections.quiescing) and self._must_wait():
                self._put_off(view[at:end])
                return
            if left == 0 and at < end:
                self._put_off(view[at:end])
                connections.services.loop.call_soon(self._resume_if_clear)
                return
        if at < end:
            self._unfinished = Unfinished(connections.pool, view[at:end])
            self._make_room()

    def _receive_more(self, size: int) -> None:
        unfinished = self._unfinished
        assert unfinished is not None
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
        if self._unfinished is not None and not self._unfinished.reserve():
            self._in_line = True
            self._pause()
            self._connections.pool.budget.wait(self._has_room)

    def _has_room(self) -> bool:
        """Bytes came back to the budget: whether they are enough to go on."""
        if self._unfinished is not None and not self._unfinished.reserve():
            return False
        self._in_line = False
        self._resume_if_clear()
        return True

    def _put_off(self, rest: memoryview) -> None:
        """Stop reading; what came already waits."""
        if rest:
            self._backlog = bytes(rest)
            self._connections.pool.charge(len(rest))
        self._pause()

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
            self._say_and_finish(error)
            return
        except Exception:
            log.exception("%s failed", endpoint.api.name)
            answer = self._refused(endpoint, ErrorCode.UNKNOWN_SERVER_ERROR, None)
        if answer is NO_ANSWER:
            return
        if isinstance(answer, Pending):
            if not answer.done:
                self._answers.wait(answer, correlation, endpoint)
                return
            answer = answer.value
        self._answers.give(answer, correlation, endpoint)

    def _refused(self, endpoint: Endpoint, code: ErrorCode, message: str | None) -> Any:
        """An answer that is nothing but an error, where the API has a place for it; else the connection closes."""
        if not endpoint.has_error_code:
            self._finish()
            return NO_ANSWER
        answer = endpoint.api.response()
        answer.error_code = code
        if message is not None and endpoint.has_error_message:
            answer.error_message = message
        return answer

    def _refuse_version(self, key: int, version: int, correlation: int, frame: tuple[memoryview, int, int]) -> None:
        """Kafka answers only ApiVersions of an unknown version (with version 0 and error 35); all else closes."""
        if key != API_VERSIONS_KEY:
            log.info("closing %s: API %d version %d is not served", self.peer_host, key, version)
            self._finish()
            return
        parse_request_header(*frame, self._table.flexible_request(key, version))
        oldest = self._table.ready.get(key << 16) or self._table.resolve(key, 0)
        assert oldest is not None
        answer = oldest.api.response()
        answer.error_code = ErrorCode.UNSUPPORTED_VERSION
        answer.api_keys = [ApiVersion(key, oldest.api.min_version, oldest.api.max_version)]
        self._answers.give(answer, correlation, oldest)

    # -- backpressure

    def _must_wait(self) -> bool:
        """Whether the next request has to wait: the peer takes no answers, or too many are held."""
        connections = self._connections
        if self._outbox.waiting or connections.quiescing:
            return True
        answers = self._answers
        return len(answers.queue) > connections.answers_max or answers.held_bytes > connections.answer_bytes_max

    def _pause(self) -> None:
        if not self._paused and not self._closed:
            self._paused = True
            self._transport.pause_reading()

    def _less_waits(self) -> None:
        """Less waits than before: go on, or make an end."""
        if self._finishing:
            self._finish()
        else:
            self._resume_if_clear()

    def _resume_if_clear(self) -> None:
        """Go on with what came before reading paused, then read again."""
        if not self._paused or self._closed or self._in_line or self._must_wait():
            return
        self._paused = False
        backlog, self._backlog = self._backlog, b""
        if backlog:
            self._connections.pool.give_back(len(backlog))
            try:
                self._receive(memoryview(backlog), len(backlog))
            except CorruptData as error:
                self._say_and_finish(error)
            except Exception:
                log.exception("closing %s", self.peer_host)
                self._abort()
            if self._paused or self._closed:
                return
        self.last_active_ms = self._connections.now_ms
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
    def held_bytes(self) -> int:
        """Bytes of answers in memory: waiting, held behind one that waits, or not taken."""
        return self._answers.held_bytes + self._answers.waiting_bytes + self._outbox.waiting_bytes

    def overdue(self, now_ms: int) -> str:
        """Why the connection is to be ended by now; empty when it is not."""
        config = self._connections.services.config
        stall_ms, idle_ms = config.frame_stall_timeout_ms, config.connections_max_idle_ms
        mark = self._outbox.mark
        if mark != self._mark:
            self._mark = mark
            self.last_active_ms = now_ms
        silent_ms = now_ms - self.last_active_ms
        unfinished = self._unfinished
        if unfinished is not None and not self._paused:
            if silent_ms > stall_ms:
                return "its request stalled"
            if unfinished.too_slow(now_ms, stall_ms):
                return "its request comes too slowly while others wait for room"
        if self._finishing and silent_ms > stall_ms:
            return "its last answers were not taken"
        return "it was silent" if 0 <= idle_ms < silent_ms else ""

    def close(self) -> None:
        """End the connection from our side, whatever waits."""
        self._closed = self._answers.closed = True
        self._finishing = False
        self._transport.close()

    def drop(self) -> None:
        """End the connection and free at once what it holds."""
        self._abort()
        self._let_go()

    def _say_and_finish(self, why: MoldauError) -> None:
        log.info("closing %s: %s", self.peer_host, why)
        self._finish()

    def _finish(self) -> None:
        """Decide nothing more; close once what was decided is answered and taken."""
        self._closed = True
        self._drop_input()
        if self._answers.queue or self._outbox.waiting:
            self._finishing = self._paused = True
            self._transport.pause_reading()
        else:
            self._finishing = False
            self._transport.close()

    def _abort(self) -> None:
        self._closed = self._answers.closed = True
        self._finishing = False
        self._transport.abort()

    def _drop_input(self) -> None:
        """What came and was not decided is not looked at any more."""
        pool = self._connections.pool
        if self._in_line:
            self._in_line = False
            pool.budget.leave_line(self._has_room)
        if self._unfinished is not None:
            self._unfinished.close()
            self._unfinished = None
        if self._backlog:
            pool.give_back(len(self._backlog))
            self._backlog = b""

    def _let_go(self) -> None:
        """Free everything that is held."""
        self._outbox.close()
        self._drop_input()
        self._answers.close()
