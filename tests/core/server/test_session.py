"""One connection as its client sees it: frames, order, pauses, ends. Both event loops."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode, KafkaError
from moldau.core.net.receive import SHARED_BYTES
from moldau.core.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from moldau.core.protocol.messages.fetch import FetchResponse
from moldau.core.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from moldau.core.protocol.messages.produce import ProduceResponse
from moldau.core.server import session as module
from tests.support.asks import Topic, fetch_one, fetch_request, new_topic, produce, produce_request
from tests.support.log_batches import make_batch
from tests.support.sessions import STALL_MS, Server, answers, api_versions
from tests.support.wire import frame

BATCH = make_batch()

SMALL = struct.pack(">hhih", 18, 0, 0, -1)  # ApiVersions v0, correlation id 0


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
        session._receive(memoryview(stream), len(stream))
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
