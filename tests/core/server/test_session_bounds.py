"""What a connection may cost: answers nobody takes, requests nobody finishes, silence. Both event loops."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from moldau.core.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from moldau.core.protocol.messages.fetch import FetchRequest
from moldau.core.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from tests.support.asks import Topic, fetch_request, new_topic, produce, produce_request
from tests.support.log_batches import make_batch
from tests.support.sessions import IDLE_MS, STALL_MS, Server, answers, api_versions, server_on
from tests.support.wire import Wire, frame

BATCH = make_batch()

SMALL = struct.pack(">hhih", 18, 0, 0, -1)  # ApiVersions v0, correlation id 0


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
