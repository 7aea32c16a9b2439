"""Deadlines by key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moldau.core.coordinators.timers import Timers


def test_keys_come_due_in_order() -> None:
    timers: Timers[str] = Timers()
    assert timers.next_deadline_ms() is None
    for key, deadline in (("b", 20), ("a", 10), ("c", 20)):
        timers.set(key, deadline)
    assert (timers.next_deadline_ms(), len(timers), "a" in timers) == (10, 3, True)
    assert timers.pop_due(9) is None
    assert [timers.pop_due(20) for _ in range(4)] == ["a", "b", "c", None]
    assert len(timers) == 0


def test_a_deadline_moves_both_ways_and_can_be_cancelled() -> None:
    timers: Timers[str] = Timers()
    timers.set("later", 10)
    timers.set("later", 30)
    timers.set("sooner", 30)
    timers.set("sooner", 5)
    timers.set("never", 1)
    timers.cancel("never")
    timers.cancel("unknown")
    assert timers.next_deadline_ms() == 5
    assert [timers.pop_due(10), timers.pop_due(29), timers.pop_due(30)] == ["sooner", None, "later"]


MOVES = st.lists(st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 20)), st.integers(0, 3)))


@given(MOVES)
def test_it_behaves_like_a_dictionary_that_is_searched(moves: list[tuple[str, int | None, int]]) -> None:
    timers: Timers[str] = Timers()
    model: dict[str, int] = {}
    now = 0
    for key, deadline, passed in moves:
        now += passed
        if deadline is None:
            timers.cancel(key)
            model.pop(key, None)
        else:
            timers.set(key, now + deadline)
            model[key] = now + deadline
        assert timers.next_deadline_ms() == min(model.values(), default=None)
        while (due := timers.pop_due(now)) is not None:
            assert model.pop(due) <= now
        assert all(deadline > now for deadline in model.values())
        assert len(timers) == len(model)
