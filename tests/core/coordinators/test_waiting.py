"""One answer out of others."""

from __future__ import annotations

from moldau.core.base.pending import Pending
from moldau.core.coordinators.waiting import gathered, mapped


def test_what_is_there_is_mapped_at_once() -> None:
    assert mapped(3, str) == "3"


def test_what_comes_later_is_mapped_later() -> None:
    answer: Pending[int] = Pending()
    result = mapped(answer, str)
    assert isinstance(result, Pending)
    assert not result.done
    answer.complete(3)
    assert result.value == "3"


def test_abandoning_goes_through() -> None:
    told: list[str] = []
    answers: list[Pending[int]] = [Pending(lambda: told.append("a")), Pending(lambda: told.append("b"))]
    for result in (mapped(answers[0], str), gathered([answers[1], 1])):
        assert isinstance(result, Pending)
        result.abandon()
    assert told == ["a", "b"]


def test_gathering_waits_for_the_last_and_keeps_the_order() -> None:
    first: Pending[int] = Pending()
    last: Pending[int] = Pending()
    result = gathered([first, 2, last])
    assert isinstance(result, Pending)
    last.complete(3)
    assert not result.done
    first.complete(1)
    assert result.value == [1, 2, 3]
    assert gathered([1, 2]) == [1, 2]
    assert gathered([]) == []
