"""Clocks: the manual one moves only when told, the system's goes on."""

from __future__ import annotations

from moldau.core.base.clock import ManualClock, SystemClock


def test_a_manual_clock_moves_both_times_by_as_much() -> None:
    clock = ManualClock(wall_ms=5_000)
    clock.advance(250)
    assert (clock.wall_ms(), clock.monotonic_ms()) == (5_250, 250)


def test_the_system_clock_is_in_milliseconds_and_does_not_go_back() -> None:
    clock = SystemClock()
    before = clock.monotonic_ms()
    assert clock.monotonic_ms() >= before
    assert clock.wall_ms() > 1_600_000_000_000
