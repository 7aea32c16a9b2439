"""Frames come out whole however their bytes arrive, and no declared length makes a buffer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData
from moldau.core.net.receive import FIRST_BYTES, POOLED_BYTES, SIZE, Budget, ReceivePool, Unfinished, frame_size

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


def test_who_gets_no_budget_waits_and_is_called_when_bytes_come_back() -> None:
    budget = Budget(100)
    calls: list[str] = []
    assert budget.take(80)
    assert not budget.take(30)
    budget.wait(lambda: calls.append("again"))
    assert calls == []
    budget.give_back(80)
    assert calls == ["again"]
    assert budget.take(500)  # alone, even a frame larger than the budget gets through
    assert budget.exceeded
