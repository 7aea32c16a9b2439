"""Who is let in, what all connections share, who is ended."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from moldau.core.base.clock import ManualClock
from moldau.core.base.errors import StorageError
from moldau.core.base.workers import InlineWorker
from moldau.core.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from moldau.core.server.config import BrokerConfig
from moldau.core.server.connections import LOOK_AT_LEAST, REFUSAL_LOG_INTERVAL_MS, TICKS_TO_LOOK, Connections
from tests.support.inprocess import InProcess
from tests.support.wire import Wire

# -- over sockets


def start(directory: Path, loop: str, **settings: str) -> InProcess:
    return InProcess(directory, {key.replace("_", "."): text for key, text in settings.items()}, loop=loop)


@pytest.fixture
def open_wires() -> Iterator[Callable[..., Wire]]:
    wires: list[Wire] = []

    def connect(broker: InProcess, source: str = "127.0.0.1") -> Wire:
        wire = Wire(broker.host, broker.port, source=source)
        wires.append(wire)
        return wire

    yield connect
    for wire in wires:
        wire.close()


def served(wire: Wire) -> bool:
    wire.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)
    return True


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_so_many_connections_in_all(
    tmp_path: Path, loop: str, open_wires: Callable[..., Wire], caplog: pytest.LogCaptureFixture
) -> None:
    with start(tmp_path, loop, max_connections="2") as broker:
        first, second = open_wires(broker), open_wires(broker)
        assert served(first)
        assert served(second)
        for _ in range(3):
            assert open_wires(broker).closed_by_broker()
        assert broker.on_loop(lambda: broker.broker._connections.count) == 2
        first.close()
        while broker.on_loop(lambda: broker.broker._connections.count) == 2:
            pass
        assert served(open_wires(broker))
        assert served(second)
        assert broker.errors == []
    assert caplog.text.count("refused a connection from 127.0.0.1: 2 are open") == 1, "it does not flood the log"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_so_many_connections_of_one_address(tmp_path: Path, loop: str, open_wires: Callable[..., Wire]) -> None:
    with start(tmp_path, loop, max_connections_per_ip="1") as broker:
        assert served(open_wires(broker))
        assert open_wires(broker).closed_by_broker()
        other = open_wires(broker, "127.0.0.2")
        assert served(other)
        assert open_wires(broker, "127.0.0.2").closed_by_broker()
        other.close()
        while broker.on_loop(lambda: broker.broker._connections.count) == 2:
            pass
        assert served(open_wires(broker, "127.0.0.2"))


def test_several_listeners(tmp_path: Path) -> None:
    with start(tmp_path, "auto", listeners="ONE://127.0.0.1:0,TWO://127.0.0.1:0") as broker:
        ports = [endpoint.port for endpoint in broker.broker.endpoints]
        assert len(set(ports)) == 2
        for port in ports:
            with Wire(broker.host, port) as wire:
                assert served(wire)


def test_a_listener_that_cannot_be(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = start(tmp_path, "auto", listeners=f"ONE://127.0.0.1:0,TWO://127.0.0.1:{port}")
        with pytest.raises(StorageError, match=f"cannot listen on TWO://127.0.0.1:{port}"):
            broker.start()


# -- by themselves


class Member:
    """A session as far as its connections know it."""

    def __init__(self, host: str = "h", held_bytes: int = 0, why: str = "") -> None:
        self.peer_host = host
        self.held_bytes = held_bytes
        self.why = why
        self.calls: list[str] = []
        self.untaken = False
        self.connections: Connections

    def overdue(self, now_ms: int) -> str:
        self.calls.append(f"asked at {now_ms}")
        return self.why

    def close(self) -> None:
        self.calls.append("closed")

    def quiesce(self) -> None:
        self.calls.append("quiesced")

    def drop(self) -> None:
        self.calls.append("dropped")
        self.connections.send_budget.give_back(self.held_bytes)
        self.held_bytes = 0


class Soon:
    """A loop of which only `call_soon` exists."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def connections_of(*members: Member, **config: Any) -> tuple[Connections, Soon]:
    loop = Soon()
    services = SimpleNamespace(config=BrokerConfig(**config), clock=ManualClock(), loop=loop)
    connections = Connections(cast(Any, services), cast(Any, None), InlineWorker())
    for member in members:
        member.connections = connections
        assert connections.admit(cast(Any, member))
    return connections, loop


def test_hosts_are_counted_and_forgotten() -> None:
    members = [Member("a"), Member("a"), Member("b")]
    connections, _ = connections_of(*members)
    assert (connections.count, connections._by_host) == (3, {"a": 2, "b": 1})
    for member in members:
        connections.left(cast(Any, member))
    assert (connections.count, connections._by_host) == (0, {})


def test_refusals_are_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    connections, _ = connections_of(max_connections=0)
    for _ in range(3):
        assert not connections.admit(cast(Any, Member()))
    assert len(caplog.records) == 1
    connections.tick(REFUSAL_LOG_INTERVAL_MS)
    assert not connections.admit(cast(Any, Member()))
    assert len(caplog.records) == 2


def test_the_overdue_are_ended() -> None:
    fine, late = Member(), Member(why="it was silent")
    connections, _ = connections_of(fine, late)
    connections.tick(10)
    assert (fine.calls, late.calls) == (["asked at 10"], ["asked at 10", "closed"])
    assert connections.now_ms == 10
    connections.left(cast(Any, late))
    connections.tick(20)
    assert (fine.calls[1:], late.calls[2:]) == (["asked at 20"], [])


def test_many_are_looked_at_in_turns() -> None:
    members = [Member() for _ in range(LOOK_AT_LEAST * TICKS_TO_LOOK * 2)]
    connections, _ = connections_of(*members)
    per_tick = len(members) // TICKS_TO_LOOK
    connections.tick(1)
    assert sum(len(member.calls) for member in members) == per_tick
    gone = next(member for member in members if not member.calls)
    connections.left(cast(Any, gone))
    for now_ms in range(2, 2 + TICKS_TO_LOOK):
        connections.tick(now_ms)
    assert gone.calls == []
    assert min(len(member.calls) for member in members if member is not gone) == 1


def test_those_who_hold_the_most_are_dropped_until_the_budget_is_kept() -> None:
    limit = BrokerConfig().send_budget_bytes
    members = [Member(held_bytes=size) for size in (limit // 2, limit, limit // 4, 0)]
    connections, loop = connections_of(*members)
    for member in members:
        connections.send_budget.charge(member.held_bytes)
    assert len(loop.calls) == 1, "relieved once a turn"
    loop.turn()
    assert [member.calls for member in members] == [[], ["dropped"], [], []]
    assert not connections.send_budget.exceeded
    connections.send_budget.charge(limit)
    assert len(loop.calls) == 1


def test_what_came_to_the_budget_unheard_is_seen_at_the_next_sweep() -> None:
    member = Member()
    connections, loop = connections_of(member)
    member.held_bytes = connections.send_budget.used = connections.send_budget.limit + 1
    connections.tick(0)
    loop.turn()
    assert member.calls[-1] == "dropped"


def test_nobody_is_dropped_for_bytes_that_nobody_holds() -> None:
    member = Member()
    connections, loop = connections_of(member)
    connections.send_budget.charge(connections.send_budget.limit + 1)
    loop.turn()
    assert member.calls == []


def test_quiet_and_end_reach_everyone() -> None:
    members = [Member(), Member()]
    connections, _ = connections_of(*members)
    assert not connections.untaken
    members[1].untaken = True
    assert connections.untaken
    connections.quiesce()
    connections.close()
    assert connections.quiescing
    assert [member.calls for member in members] == [["quiesced", "closed"]] * 2
