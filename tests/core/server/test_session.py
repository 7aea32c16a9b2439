"""One connection as its client sees it: frames, order, pauses, ends. Both event loops."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode, KafkaError
from moldau.core.net.receive import SHARED_BYTES
from moldau.core.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from moldau.core.protocol.messages.fetch import FetchRequest, FetchResponse
from moldau.core.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from moldau.core.protocol.messages.produce import ProduceResponse
from moldau.core.server import session as module
from moldau.core.server.session import Session
from tests.support.asks import Topic, fetch_one, fetch_request, new_topic, produce, produce_request
from tests.support.inprocess import HeldFiles, InProcess
from tests.support.log_batches import make_batch
from tests.support.wire import Wire, frame

BATCH = make_batch()
STALL_MS, IDLE_MS = 30_000, 600_000
SMALL = struct.pack(">hhih", 18, 0, 0, -1)  # ApiVersions v0, correlation id 0


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
            connections = self.connections
            connections._sweep_due_ms = 0
            connections.tick(now + after_ms)
            connections._sweep_due_ms, connections.now_ms = 0, now

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


LOOPS = ["asyncio", "uvloop"]


@pytest.fixture(scope="module", params=LOOPS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from server_on(tmp_path_factory.mktemp("broker"), request.param)


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """The shared broker, checked for what a test left behind."""
    yield shared
    shared.end()


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Server]:
    """A broker whose bounds are as narrow as they may be."""
    yield from server_on(
        tmp_path,
        "auto",
        moldau_receive_budget_bytes=str(1 << 20),
        moldau_send_budget_bytes=str(1 << 20),
        moldau_pipeline_max_answers="5",
        moldau_pipeline_max_bytes="1024",
    )


def api_versions(wire: Wire) -> int:
    return wire.send(ApiVersionsRequest("test", "1"), 3)


def answers(wire: Wire, count: int) -> list[int]:
    """Correlation ids of the next answers, in the order they come."""
    return [struct.unpack_from(">i", wire.receive_frame())[0] for _ in range(count)]


# -- frames


@pytest.mark.parametrize(
    "start",
    [
        struct.pack(">i", 0),
        struct.pack(">i", -1),
        struct.pack(">i", -(1 << 31)),
        struct.pack(">i", (100 << 20) + 1),
        b"GET / HTTP/1.1\r\n",
        bytes.fromhex("16030100c8010000c40303"),  # TLS
    ],
)
def test_what_is_no_frame_closes(server: Server, start: bytes) -> None:
    wire = server.connect()
    wire.send_bytes(start)
    assert wire.closed_by_broker()


@pytest.mark.parametrize(
    "frame_content",
    [
        b"\0",
        SMALL[:7],
        SMALL[:9],
        struct.pack(">hhih", 18, 0, 0, 5) + b"four",
        struct.pack(">hhihb", 18, 3, 0, -1, 0) + b"\x05ab",
        struct.pack(">hhihi", 3, 1, 0, -1, 1 << 30),
        struct.pack(">hhihi", 3, 1, 0, -1, 1000),
        struct.pack(">hhih", 99, 0, 0, -1),
        struct.pack(">hhih", -1, 0, 0, -1),
        struct.pack(">hhih", 0, 2, 0, -1) + bytes(10),
        struct.pack(">hhih", 1, 3, 0, -1) + bytes(30),
        struct.pack(">hhih", 3, 99, 0, -1) + b"\0",
        struct.pack(">hhih", 3, -1, 0, -1),
    ],
    ids=lambda content: content.hex(),
)
def test_what_cannot_be_read_or_is_not_served_closes(server: Server, frame_content: bytes) -> None:
    wire, other = server.connect(), server.connect()
    # Behind a good request: its answer still comes.
    wire.send_bytes(struct.pack(">i", len(SMALL)) + SMALL + struct.pack(">i", len(frame_content)) + frame_content)
    assert answers(wire, 1) == [0]
    assert wire.closed_by_broker()
    other.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)


@pytest.mark.parametrize("filler", [b"\0", b"a", b"\xff"])
def test_nothing_is_read_of_what_lies_behind_a_frame(server: Server, filler: bytes) -> None:
    """The shared buffer holds what others sent before."""
    wire, other = server.connect(), server.connect()
    other.send_frame(SMALL + filler * 500)
    assert answers(other, 1) == [0]
    wire.send_frame(struct.pack(">hhih", 18, 0, 0, 5) + b"four")
    assert wire.closed_by_broker()


def test_bytes_behind_a_request_are_ignored(server: Server) -> None:
    wire = server.connect()
    wire.send_frame(frame(MetadataRequest([]), 1, 7) + b"whatever")
    assert answers(wire, 1) == [7]


def test_a_client_id_that_is_no_text(server: Server) -> None:
    wire = server.connect()
    wire.send_frame(struct.pack(">hhih", 18, 0, 7, 2) + b"\xff\xfe")
    assert answers(wire, 1) == [7]
    assert server.session_of(wire)._ctx.client_id == "\ufffd\ufffd"


def test_a_request_that_comes_byte_by_byte(server: Server) -> None:
    wire = server.connect()
    content = frame(MetadataRequest([]), 1, 7)
    for byte in struct.pack(">i", len(content)) + content:
        wire.send_bytes(bytes([byte]))
        server.broker.turns(1)
    assert answers(wire, 1) == [7]


@pytest.mark.parametrize("size", [SHARED_BYTES - 200, SHARED_BYTES, SHARED_BYTES + 1, 1 << 20, 5 << 20])
def test_requests_of_any_size_and_what_follows_them_at_once(server: Server, size: int) -> None:
    wire = server.connect()
    topic = new_topic(wire, max_message_bytes=str(16 << 20))
    batch = make_batch([b"x" * size])
    first, second = produce_request(topic, batch), ApiVersionsRequest("test", "1")
    stream = b"".join(
        struct.pack(">i", len(content)) + content for content in (frame(first, 9, 1001), frame(second, 3, 1002))
    )
    wire.send_bytes(stream)
    assert answers(wire, 2) == [1001, 1002]
    assert len(fetch_one(wire, topic, max_bytes=1).records) == len(batch)


def test_many_requests_at_once_are_answered_in_order(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_MAX", 7)
    wire = server.connect()
    stream = b"".join(
        struct.pack(">i", len(SMALL)) + struct.pack(">hhih", 18, 0, number, -1) for number in range(1, 501)
    )
    wire.send_bytes(stream)
    assert answers(wire, 500) == list(range(1, 501))


def test_others_have_their_turn_while_many_requests_of_one_wait(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_MAX", 2)
    wire = server.connect()
    session = server.session_of(wire)
    stream = (struct.pack(">i", len(SMALL)) + SMALL) * 5

    def receive() -> tuple[bool, int, int]:
        session._take_in(memoryview(stream), len(stream))
        return session._paused, len(session._backlog), server.connections.pool.budget.used

    rest = 3 * (4 + len(SMALL))
    assert server.broker.on_loop(receive) == (True, rest, rest)


# -- order


def test_answers_behind_one_that_waits_come_after_it(server: Server) -> None:
    wire, writer = server.connect(), server.connect()
    topic = new_topic(writer)
    waits = wire.send(fetch_request(topic, max_wait_ms=20_000), 12)
    behind = [api_versions(wire), wire.send(MetadataRequest([]), 1), api_versions(wire)]
    session = server.session_of(wire)
    server.until(lambda: len(session._answers.queue) == 4)
    assert session._answers.held_bytes > 0
    produce(writer, topic, BATCH)
    assert answers(wire, 4) == [waits, *behind]
    assert (session._answers.held_bytes, len(session._answers.queue)) == (0, 0)


def test_two_that_wait_are_answered_in_order_whichever_comes_first(server: Server) -> None:
    wire, writer = server.connect(), server.connect()
    first_topic, second_topic = new_topic(writer), new_topic(writer)
    first = wire.send(fetch_request(first_topic, max_wait_ms=20_000), 12)
    second = wire.send(fetch_request(second_topic, max_wait_ms=20_000), 12)
    third = api_versions(wire)
    session = server.session_of(wire)
    server.until(lambda: len(session._answers.queue) == 3)
    produce(writer, second_topic, BATCH)
    server.until(lambda: session._answers.queue[1][2] is None)  # held, encoded
    produce(writer, first_topic, BATCH)
    for asked, topic in ((first, first_topic), (second, second_topic)):
        (answer,) = wire.receive(asked, FetchResponse, 12).responses
        assert (answer.topic, len(answer.partitions[0].records)) == (topic.name, len(BATCH))
    assert answers(wire, 1) == [third]


def test_reading_pauses_when_too_many_answers_are_held(tight: Server) -> None:
    wire, writer = tight.connect(), tight.connect()
    topic = new_topic(writer)
    waits = wire.send(fetch_request(topic, max_wait_ms=20_000), 12)
    behind = [wire.send(MetadataRequest([]), 1) for _ in range(40)]
    session = tight.session_of(wire)
    tight.until(lambda: session._paused)
    assert len(session._answers.queue) == 6
    produce(writer, topic, BATCH)
    assert answers(wire, 41) == [waits, *behind]


def test_reading_pauses_when_held_answers_are_too_large(tight: Server) -> None:
    wire, writer = tight.connect(), tight.connect()
    topic, wide = new_topic(writer), new_topic(writer, 50)
    waits = wire.send(fetch_request(topic, max_wait_ms=20_000), 12)
    asked = MetadataRequest([MetadataRequestTopic(name=wide.name)])
    behind = [wire.send(asked, 12) for _ in range(20)]
    session = tight.session_of(wire)
    tight.until(lambda: session._paused)
    assert len(session._answers.queue) == 2, "the bound is 1024 bytes"
    produce(writer, topic, BATCH)
    assert answers(wire, 21) == [waits, *behind]


# -- slow readers


def ask_without_reading(server: Server, wire: Wire, wide: Topic) -> int:
    """Ask for large answers until the broker stops reading; how many were asked for."""
    asked = MetadataRequest([MetadataRequestTopic(name=wide.name)])
    session = server.session_of(wire)
    for count in range(1, 1000):
        wire.send(asked, 12)
        if server.broker.on_loop(lambda: session._paused):
            return count
    raise AssertionError("it never paused")


def test_who_takes_no_answers_is_asked_for_no_requests(server: Server) -> None:
    wire, other = server.connect(), server.connect()
    count = ask_without_reading(server, wire, new_topic(other, 2000))
    session = server.session_of(wire)
    assert session.untaken
    assert session.held_bytes > 0
    behind = [api_versions(wire) for _ in range(3)]
    other.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)
    assert answers(wire, count + 3)[-3:] == behind
    server.until(lambda: not session._paused)


def test_who_is_gone_with_answers_untaken(server: Server) -> None:
    wire, other = server.connect(), server.connect()
    ask_without_reading(server, wire, new_topic(other, 2000))
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()
    server.until(lambda: server.connections.count == 1)


def test_a_slice_of_a_file_is_let_go_with_the_connection(server: Server) -> None:
    wire, writer = server.connect(), server.connect()
    topic = new_topic(writer, max_message_bytes=str(16 << 20))
    for _ in range(3):
        produce(writer, topic, make_batch([b"x" * (5 << 20)]))
    partition = server.broker.broker.replicas.by_name[topic.name][0]
    assert partition is not None
    file = partition.log.segments[0].file
    assert file is not None
    request = FetchRequest(topics=fetch_request(topic).topics, max_bytes=15 << 20, max_wait_ms=0, min_bytes=1)
    request.topics[0].partitions[0].partition_max_bytes = 15 << 20
    wire.send(request, 12)
    server.until(lambda: file.references > 1)
    wire.close()
    server.until(lambda: file.references == 1)


def test_too_many_untaken_bytes_end_the_one_that_holds_the_most(tight: Server) -> None:
    small, large = tight.connect(), tight.connect()
    wide = new_topic(small, 1000)
    one = tight.session_of(small)
    ask_without_reading(tight, small, wide)
    before = tight.connections.send_budget.used
    assert 0 < before < 1 << 20

    other = tight.session_of(large)
    tight.broker.on_loop(lambda: other._outbox.write(bytes(8 << 20)))
    assert large.closed_by_broker()
    tight.until(lambda: tight.connections.count == 1)
    assert tight.connections.send_budget.used == before
    assert one.untaken


# -- memory for requests


def test_frames_wait_for_room_and_go_on_when_there_is_some(tight: Server) -> None:
    """The budget is 1 MiB, half of it kept back for one frame at a time."""
    wires = [tight.connect() for _ in range(4)]
    topic = new_topic(wires[0])
    contents = [frame(produce_request(topic, make_batch([b"x" * 700_000])), 9, number) for number in range(4)]
    half = 300_000
    for wire, content in zip(wires, contents, strict=True):
        wire.send_bytes(struct.pack(">i", len(content)) + content[:half])
    tight.until(lambda: tight.connections.pool.budget.contended)
    sessions = [tight.session_of(wire) for wire in wires]
    assert any(session._in_line for session in sessions)
    tight.tick(STALL_MS // 2)
    for wire, content in zip(wires, contents, strict=True):
        wire.send_bytes(content[half:])
    for number, wire in enumerate(wires):
        assert answers(wire, 1) == [number]
    assert tight.connections.pool.budget.used == 0


def test_who_waits_for_room_is_not_stalled_and_leaves_the_line_with_the_connection(tight: Server) -> None:
    wires = [tight.connect() for _ in range(4)]
    content = struct.pack(">i", 700_000) + bytes(600_000)
    for wire in wires:
        wire.socket.setblocking(False)
        wire.socket.send(content)
    tight.until(lambda: tight.connections.pool.budget.contended)
    waiting = [wire for wire in wires if tight.session_of(wire)._in_line]
    going = [wire for wire in wires if wire not in waiting]
    assert waiting
    assert going
    tight.tick(0)
    tight.tick(STALL_MS + 1000)
    # Those who could send and did not are cut, which makes room for the others.
    tight.until(lambda: tight.connections.count <= len(waiting))
    for wire in waiting:
        wire.close()


# -- time


@pytest.mark.parametrize("part", [1, 4, 12])
def test_a_request_that_stalls_is_cut(server: Server, part: int) -> None:
    wire = server.connect()
    content = frame(MetadataRequest([]), 1, 7)
    wire.send_bytes((struct.pack(">i", len(content)) + content)[:part])
    session = server.session_of(wire)
    server.until(lambda: session._unfinished is not None)
    server.tick(STALL_MS - 1000)
    server.broker.turns()
    assert not session._closed
    server.tick(STALL_MS + 1000)
    assert wire.closed_by_broker()


def test_a_silent_connection_is_closed(server: Server) -> None:
    wire = server.connect()
    wire.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)
    session = server.session_of(wire)
    server.tick(IDLE_MS - 1000)
    server.broker.turns()
    assert not session._closed
    server.tick(IDLE_MS + 1000)
    assert wire.closed_by_broker()


def test_a_silent_connection_stays_where_the_operator_wants_it_so(tmp_path: Path) -> None:
    for server in server_on(tmp_path, "auto", connections_max_idle_ms="-1"):
        wire = server.connect()
        wire.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)
        server.tick(1 << 40)
        wire.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)


def test_taking_answers_is_no_silence(server: Server) -> None:
    wire, other = server.connect(), server.connect()
    ask_without_reading(server, wire, new_topic(other, 2000))
    session = server.session_of(wire)
    start = session.last_active_ms
    wire.receive_frame()
    server.until(lambda: session._outbox.mark != session._mark)
    server.tick(IDLE_MS // 2)
    assert session.last_active_ms > start


# -- ends


@pytest.fixture
def held(server: Server) -> Iterator[Server]:
    yield server
    server.files.release()


def test_what_was_asked_before_is_answered_before_the_connection_closes(held: Server) -> None:
    wire = held.connect()
    topic = new_topic(wire)
    held.files.hold()
    asked = wire.send(produce_request(topic, BATCH), 9)
    behind = api_versions(wire)
    wire.send_bytes(struct.pack(">i", -5))
    wire.send(produce_request(topic, BATCH), 9)  # never decided
    session = held.session_of(wire)
    held.until(lambda: session._finishing)
    held.files.release()
    (answer,) = wire.receive(asked, ProduceResponse, 9).responses
    assert answer.partition_responses[0].base_offset == 0
    wire.receive(behind, ApiVersionsResponse, 3)
    assert wire.closed_by_broker()
    with held.connect() as after:
        assert fetch_one(after, topic).high_watermark == 1


def test_acks_0_that_fails_behind_one_that_waits(held: Server) -> None:
    wire = held.connect()
    topic = new_topic(wire)
    held.files.hold()
    asked = wire.send(produce_request(topic, BATCH), 9)
    wire.send(produce_request(Topic("absent"), BATCH, acks=0), 9)
    session = held.session_of(wire)
    held.until(lambda: session._finishing)
    held.files.release()
    wire.receive(asked, ProduceResponse, 9)
    assert wire.closed_by_broker()


def test_a_connection_that_only_waits_for_its_end_does_not_wait_for_ever(server: Server) -> None:
    wire, other = server.connect(), server.connect()
    topic = new_topic(other)
    wire.send(fetch_request(topic, max_wait_ms=1 << 30), 12)
    wire.send_bytes(struct.pack(">i", -5))
    session = server.session_of(wire)
    server.until(lambda: session._finishing)
    server.tick(STALL_MS + 1000)
    assert wire.closed_by_broker()


def test_a_client_that_says_it_is_done_is_closed(server: Server) -> None:
    wire = server.connect()
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.closed_by_broker()


def test_acks_0_before_the_end_is_taken(server: Server) -> None:
    wire, other = server.connect(), server.connect()
    topic = new_topic(other)
    wire.send(produce_request(topic, BATCH, acks=0), 9)
    wire.close()
    server.until(lambda: server.connections.count == 1)
    assert produce(other, topic, BATCH).base_offset == 1


# -- errors inside


@pytest.fixture
def broken(server: Server) -> Iterator[Callable[[int, int, str, Any], None]]:
    """Replaces a part of an endpoint (`handle`, `encode`, `decode`) until the test is over."""
    changed: list[tuple[Any, str, Any]] = []

    def replace(key: int, version: int, part: str, by: Any) -> None:
        table = server.connections.table
        endpoint = server.broker.on_loop(lambda: table.ready.get(key << 16 | version) or table.resolve(key, version))
        changed.append((endpoint, part, getattr(endpoint, part)))
        setattr(endpoint, part, by)

    yield replace
    for endpoint, part, before in changed:
        setattr(endpoint, part, before)


def failing(error: Exception) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise error

    return call


def test_an_error_with_a_code_is_answered_where_there_is_a_place(server: Server, broken: Any) -> None:
    wire = server.connect()
    broken(18, 3, "handle", failing(KafkaError(ErrorCode.NOT_CONTROLLER, "elsewhere")))
    answer = wire.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)
    assert answer.error_code == ErrorCode.NOT_CONTROLLER
    broken(3, 13, "handle", failing(KafkaError(ErrorCode.NOT_CONTROLLER)))
    assert wire.call(MetadataRequest([]), MetadataResponse, 13).error_code == ErrorCode.NOT_CONTROLLER
    broken(3, 12, "handle", failing(KafkaError(ErrorCode.NOT_CONTROLLER)))
    wire.send(MetadataRequest([]), 12)  # which has no place for it
    assert wire.closed_by_broker()


def test_a_bug_in_a_handler_ends_one_request(server: Server, broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    wire = server.connect()
    broken(18, 3, "handle", failing(RuntimeError("bug")))
    answer = wire.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)
    assert answer.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert "ApiVersions failed" in caplog.text
    wire.call(MetadataRequest([]), MetadataResponse, 1)


@pytest.mark.parametrize("part", ["encode", "decode"])
def test_a_bug_in_a_codec_ends_one_connection(
    server: Server, broken: Any, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire, other = server.connect(), server.connect()
    broken(18, 3, part, failing(RuntimeError("bug")))
    wire.send(ApiVersionsRequest("test", "1"), 3)
    assert wire.closed_by_broker()
    assert "RuntimeError: bug" in caplog.text
    other.call(MetadataRequest([]), MetadataResponse, 1)


def test_a_bug_in_the_codec_of_a_waiting_answer_does_not_stop_the_log(held: Server, broken: Any) -> None:
    wire, other = held.connect(), held.connect()
    topic = new_topic(other, 2)
    broken(0, 8, "encode", failing(RuntimeError("bug")))
    held.files.hold()
    wire.send(produce_request(topic, BATCH), 8)
    asked = other.send(produce_request(topic, BATCH), 9)
    held.broker.turns()
    held.files.release()
    assert wire.closed_by_broker()
    (answer,) = other.receive(asked, ProduceResponse, 9).responses
    assert answer.partition_responses[0].error_code == 0
