"""Counting: every line once, whoever delivers it how often, across restarts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moldau.cli import counts
from moldau.cli.counts import Counts, Record
from moldau.cli.follow import position_header


def record(key: str, text: bytes, at: int = 0) -> Record:
    return key, text, position_header(f"1-{key}-1-0", at, at + len(text) + 1), 60_000


def test_counts_by_source_severity_and_minute() -> None:
    state = Counts()
    state.count(0, 0, record("a", b"2026-11-24T14:49:00Z ERROR x"))
    state.count(0, 1, record("a", b"2026-11-24T14:49:59Z ERROR x"))
    state.count(1, 0, record("b", b"hello"))
    assert state.totals == {"a": {"error": 2}, "b": {"plain": 1}}
    assert state.run == state.totals
    assert {source: list(minutes.values()) for source, minutes in state.minutes.items()} == {
        "a": [{"error": 2}],
        "b": [{"plain": 1}],
    }
    assert ("b", 1, {"plain": 1}) in list(state.latest_minutes())
    assert (state.counted, state.caught_up, state.repeated) == (3, 0, 0)


def test_what_earlier_runs_left_is_told_apart() -> None:
    state = Counts(nexts={0: 2})
    assert state.begin_run({0: 5, 1: 1}) == 4
    for offset in range(2, 7):
        state.count(0, offset, record("a", b"x"))
    assert (state.caught_up, state.counted) == (3, 2)
    assert state.run == {"a": {"plain": 2}}


def test_records_of_others_are_passed_over() -> None:
    state = Counts()
    assert state.count(0, 0, ("k", b"v", None, 0))
    assert (state.foreign, state.counted, state.totals) == (1, 0, {})
    assert not state.count(0, 0, ("k", b"v", None, 0))
    assert state.count(0, 1, ("k", b"v", b"not a position", 0))
    assert state.positions() == {}


def test_positions_are_those_of_the_last_record() -> None:
    state = Counts()
    state.count(0, 0, record("a", b"one"))
    state.count(0, 1, record("a", b"two", at=4))
    position = state.positions()["1-a-1-0"]
    assert (position.key, position.start, position.end, position.seen_ms) == ("a", 4, 8, 60_000)


def test_old_minutes_leave_the_state_and_stay_in_the_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MOST_MINUTES", 3)
    state = Counts()
    for minute in range(7):
        state.count(0, minute, ("a", b"x", position_header("1-a-1-0", 0, 2), minute * 60_000))
    assert sorted(state.minutes["a"]) == [4, 5, 6]
    assert state.totals == {"a": {"plain": 7}}


def test_the_oldest_positions_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MOST_POSITIONS", 2)
    state = Counts()
    for n in range(4):
        state.count(0, n, ("a", b"x", position_header(f"1-{n}-1-0", 0, 2), n))
    assert list(Counts.decode(state.encode("", ""), "", "").positions()) == ["1-2-1-0", "1-3-1-0"]


def test_a_saved_state_comes_back_for_its_topic_only() -> None:
    state = Counts()
    state.count(3, 7, record("a", b"ERROR x"))
    content = state.encode("cluster", "topic")
    again = Counts.decode(content, "cluster", "topic")
    assert (again.nexts, again.totals, again.minutes, again.positions()) == (
        state.nexts,
        state.totals,
        state.minutes,
        state.positions(),
    )
    assert Counts.decode(content, "cluster", "another").nexts == {}
    assert Counts.decode(content, "another", "topic").nexts == {}


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"cluster_id": 1}'])
def test_what_is_no_state_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError):
        Counts.decode(content, "", "")


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_redelivery_and_restarts_count_nothing_twice(data: st.DataObject) -> None:
    """Records delivered in order from any earlier offset, again and again, with states lost to a crash."""
    lines = [[b"%d-%d" % (partition, n) for n in range(data.draw(st.integers(0, 12)))] for partition in range(3)]
    state, saved = Counts(), Counts().encode("c", "t")
    for step in data.draw(st.lists(st.sampled_from(["deliver", "save", "crash"]), max_size=30)):
        if step == "save":
            saved = state.encode("c", "t")
        elif step == "crash":
            state = Counts.decode(saved, "c", "t")
        else:
            partition = data.draw(st.integers(0, 2))
            first = data.draw(st.integers(0, state.nexts.get(partition, 0)))
            last = data.draw(st.integers(first, len(lines[partition])))
            deliver(state, partition, lines[partition], first, last)
    for partition in range(3):
        deliver(state, partition, lines[partition], state.nexts.get(partition, 0), len(lines[partition]))
    expected = Counter(f"p{partition}" for partition in range(3) for _ in lines[partition])
    assert {source: sum(found.values()) for source, found in state.totals.items()} == expected


def deliver(state: Counts, partition: int, lines: list[bytes], first: int, last: int) -> None:
    for offset in range(first, last):
        state.count(partition, offset, record(f"p{partition}", lines[offset]))
