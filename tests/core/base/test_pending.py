"""A pending answer is given once, heard once, and may be abandoned."""

from __future__ import annotations

import pytest

from moldau.core.base.pending import Pending


def test_the_listener_hears_the_answer_in_the_call_that_gives_it() -> None:
    heard: list[int] = []
    pending: Pending[int] = Pending()
    pending.then(heard.append)
    assert heard == []
    pending.complete(7)
    assert heard == [7]
    pending.complete(8)
    assert (heard, pending.value) == ([7], 7)


def test_a_late_listener_hears_at_once() -> None:
    heard: list[int] = []
    pending: Pending[int] = Pending()
    pending.complete(7)
    pending.then(heard.append)
    assert heard == [7]


def test_abandoned_is_told_once_and_nothing_is_heard_after() -> None:
    told: list[str] = []
    heard: list[int] = []
    pending: Pending[int] = Pending(lambda: told.append("gone"))
    pending.then(heard.append)
    pending.abandon()
    pending.abandon()
    pending.complete(7)
    assert (told, heard) == (["gone"], [])


def test_a_completed_answer_cannot_be_abandoned() -> None:
    told: list[str] = []
    pending: Pending[int] = Pending(lambda: told.append("gone"))
    pending.complete(7)
    pending.abandon()
    assert told == []


def test_two_listeners_are_a_bug() -> None:
    pending: Pending[int] = Pending()
    pending.then(lambda _: None)
    with pytest.raises(RuntimeError):
        pending.then(lambda _: None)
