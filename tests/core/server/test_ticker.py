"""Ticks come again and again; a late one lets the sockets be read first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moldau.core.base.clock import ManualClock
from moldau.core.server.ticker import INTERVAL_MS, LATE_MS, Ticker


class Loop:
    """An event loop of which only timers and soon-calls exist, run by hand."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.timers: list[tuple[float, Callable[[], Any]]] = []
        self.soon: list[Callable[[], Any]] = []

    def call_later(self, delay: float, call: Callable[[], Any]) -> Loop:
        self.timers.append((self.clock.monotonic_ms() + delay * 1000, call))
        return self

    def call_soon(self, call: Callable[[], Any]) -> None:
        self.soon.append(call)

    def cancel(self) -> None:
        self.timers.clear()

    def run_due(self) -> None:
        due = [call for at, call in self.timers if at <= self.clock.monotonic_ms()]
        self.timers = [(at, call) for at, call in self.timers if at > self.clock.monotonic_ms()]
        for call in due:
            call()


def ticking(*ticks: Callable[[int], None]) -> tuple[ManualClock, Loop, Ticker]:
    clock = ManualClock()
    loop = Loop(clock)
    ticker = Ticker(loop, clock, list(ticks))  # type: ignore[arg-type]
    ticker.start()
    return clock, loop, ticker


def test_everyone_is_called_once_an_interval() -> None:
    seen: list[int] = []
    clock, loop, _ = ticking(seen.append)
    for _ in range(3):
        clock.advance(INTERVAL_MS)
        loop.run_due()
    assert seen == [INTERVAL_MS, 2 * INTERVAL_MS, 3 * INTERVAL_MS]


def test_a_late_tick_lets_the_sockets_be_read_before_anyone_expires() -> None:
    seen: list[int] = []
    clock, loop, _ = ticking(seen.append)
    clock.advance(INTERVAL_MS + LATE_MS + 1)
    loop.run_due()
    assert seen == []
    loop.run_due()  # the turn that read the sockets
    assert seen == []
    loop.soon.pop()()
    assert seen == [clock.monotonic_ms()]


def test_one_that_fails_stops_neither_the_others_nor_the_next_tick() -> None:
    seen: list[int] = []

    def broken(_now_ms: int) -> None:
        raise RuntimeError("planted")

    clock, loop, _ = ticking(broken, seen.append)
    for _ in range(2):
        clock.advance(INTERVAL_MS)
        loop.run_due()
    assert len(seen) == 2


def test_stopped_means_no_tick_any_more() -> None:
    seen: list[int] = []
    clock, loop, ticker = ticking(seen.append)
    ticker.stop()
    clock.advance(INTERVAL_MS)
    loop.run_due()
    assert seen == []
