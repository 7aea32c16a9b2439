"""Frames come out whole however their bytes arrive, and no declared length makes a buffer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData
from moldau.core.base.options import KIB, MIB
from moldau.core.net.receive import (
    FAIR_BYTES,
    FIRST_BYTES,
    POOLED_BYTES,
    SCARCE_BYTES,
    SIZE,
    Budget,
    ReceivePool,
    Unfinished,
    frame_size,
)

FRAME_MAX = 100 << 20


def pool_of(budget: int = 64 << 20) -> ReceivePool:
    return ReceivePool(Budget(budget), FRAME_MAX)


def feed(unfinished: Unfinished, data: bytes, steps: list[int]) -> None:
    """Hand `data` over in pieces of the given sizes, as a socket would."""
    at = 0
    while at < len(data):
        assert unfinished.reserve()
        view = unfinished.view()
        step = min(steps[at % len(steps)], len(view), len(data) - at)
        view[:step] = data[at : at + step]
        view.release()
        unfinished.received(step)
        at += step


@given(st.binary(min_size=1, max_size=300_000), st.integers(0, 12), st.lists(st.integers(1, 70_000), min_size=1))
def test_a_frame_comes_out_whole_however_it_is_cut(content: bytes, head: int, steps: list[int]) -> None:
    frame = SIZE.pack(len(content)) + content
    head = min(head, len(frame) - 1)
    pool = pool_of()
    unfinished = Unfinished(pool, memoryview(frame)[:head])
    assert not unfinished.complete
    feed(unfinished, frame[head:], steps)
    assert unfinished.complete
    whole = unfinished.frame
    assert whole == content
    whole.release()
    unfinished.close()
    assert pool.budget.used == 0


def test_a_declared_length_reserves_nothing() -> None:
    pool = pool_of()
    unfinished = Unfinished(pool, memoryview(SIZE.pack(FRAME_MAX)))
    assert unfinished.reserve()
    assert pool.budget.used <= FIRST_BYTES


def test_a_large_buffer_goes_back_and_serves_the_next_frame() -> None:
    pool = pool_of()
    content = bytes(POOLED_BYTES // 2)
    frame = SIZE.pack(len(content)) + content
    buffers: list[int] = []
    for _ in range(2):
        unfinished = Unfinished(pool, memoryview(frame)[:10])
        feed(unfinished, frame[10:], [65_536])
        buffers.append(id(unfinished._buffer))
        unfinished.close()
    assert buffers[0] == buffers[1]


@pytest.mark.parametrize("size", [0, -1, -(1 << 31), FRAME_MAX + 1, 0x7FFFFFFF])
def test_an_impossible_size_is_corrupt(size: int) -> None:
    with pytest.raises(CorruptData):
        frame_size(bytearray(SIZE.pack(size)), 0, FRAME_MAX)


def small_pool(limit: int, frame_max: int) -> ReceivePool:
    return ReceivePool(Budget(limit), frame_max)


def begin(pool: ReceivePool, size: int, come: int) -> Unfinished:
    """A frame of `size` bytes of which `come` came, in one piece."""
    return Unfinished(pool, memoryview(SIZE.pack(size) + bytes(come)))


def test_bytes_that_came_are_counted_even_beyond_the_budget() -> None:
    pool = small_pool(64 * KIB, 32 * KIB)
    frames = [begin(pool, 32 * KIB, 10 * KIB) for _ in range(8)]
    assert pool.budget.used >= 80 * KIB
    assert pool.budget.exceeded
    assert len(pool.room) == SCARCE_BYTES, "from now on everybody sends small pieces"
    for frame in frames:
        frame.close()
    assert pool.budget.used == 0
    assert len(pool.room) == len(pool.shared)


def test_a_buffer_is_no_larger_than_what_came_when_the_budget_is_short() -> None:
    pool = small_pool(64 * KIB, 32 * KIB)
    kept = begin(pool, 32 * KIB, 8 * KIB)
    before = pool.budget.used
    frame = begin(pool, 32 * KIB, 10 * KIB)
    assert pool.budget.used - before == 10 * KIB + SIZE.size
    kept.close()
    frame.close()


def test_one_frame_at_a_time_may_use_what_is_kept_back() -> None:
    pool = small_pool(64 * KIB, 32 * KIB)
    first, second, third = (begin(pool, 30 * KIB, FIRST_BYTES - SIZE.size) for _ in range(3))
    assert first.reserve()
    assert pool.budget.used == 2 * FIRST_BYTES + 16 * KIB
    assert second.reserve(), "beyond the common part, but nobody else is"
    assert not third.reserve()
    second.close()
    assert third.reserve()
    first.close()
    third.close()
    assert pool.budget.used == 0


def test_a_frame_larger_than_the_budget_comes_through_by_itself() -> None:
    pool = small_pool(64 * KIB, MIB)
    content = bytes(MIB)
    frame = Unfinished(pool, memoryview(SIZE.pack(MIB)))
    feed(frame, content, [65_536])
    assert frame.complete
    frame.close()
    assert pool.budget.used == 0


def test_a_pooled_buffer_is_counted_as_what_it_is() -> None:
    pool = pool_of()
    pool.release(bytearray(POOLED_BYTES))
    frame = begin(pool, 10 * KIB, FIRST_BYTES - SIZE.size)
    assert frame.reserve()
    assert pool.budget.used == POOLED_BYTES
    frame.close()
    assert pool.budget.used == 0


def test_those_who_wait_are_served_in_their_order() -> None:
    budget = Budget(100)
    budget.charge(100)
    calls: list[str] = []
    needs = {"a": 50, "b": 10}

    def waiter(name: str) -> Callable[[], bool]:
        def retry() -> bool:
            calls.append(name)
            return budget.limit - budget.used >= needs[name]

        return retry

    first, second = waiter("a"), waiter("b")
    budget.wait(first)
    budget.wait(second)
    assert budget.contended
    budget.give_back(20)
    assert calls == ["a"], "the second would have room, but was not first"
    budget.give_back(30)
    assert calls == ["a", "a", "b"]
    assert not budget.contended


def test_who_leaves_the_line_is_not_called() -> None:
    budget = Budget(100)
    calls: list[str] = []

    def retry() -> bool:
        calls.append("called")
        return True

    budget.wait(retry)
    budget.leave_line(retry)
    budget.give_back(0)
    assert calls == []


def test_a_budget_tells_when_it_is_exceeded() -> None:
    budget = Budget(100)
    told: list[int] = []
    budget.on_exceeded = lambda: told.append(budget.used)
    budget.charge(100)
    budget.charge(1)
    assert told == [101]


def test_a_frame_that_drips_is_too_slow_only_while_others_wait() -> None:
    pool = pool_of()
    frame = begin(pool, MIB, 100)
    assert not frame.too_slow(0, 1000)
    assert not frame.too_slow(100_000, 1000)
    pool.budget.wait(lambda: False)
    assert not frame.too_slow(100_500, 1000)
    assert frame.too_slow(101_001, 1000)
    fair = begin(pool, MIB, 100)
    assert not fair.too_slow(0, 1000)
    feed(fair, bytes(FAIR_BYTES), [65_536])
    assert not fair.too_slow(1001, 1000)
    assert not fair.too_slow(2001, 1000)
    assert fair.too_slow(2002, 1000)
    for each in (frame, fair):
        each.close()
