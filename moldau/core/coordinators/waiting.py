"""Two ways to make one answer out of others that may still be pending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from moldau.core.base.pending import Pending

T = TypeVar("T")
U = TypeVar("U")


def mapped(answer: T | Pending[T], change: Callable[[T], U]) -> U | Pending[U]:
    """`change(answer)`, now or when the answer is there. Abandoning the result abandons the answer."""
    if not isinstance(answer, Pending):
        return change(answer)
    result: Pending[U] = Pending(answer.abandon)
    answer.then(lambda value: result.complete(change(value)))
    return result


def gathered(answers: Sequence[T | Pending[T]]) -> list[T] | Pending[list[T]]:
    """All answers in their order, now or when the last one is there. Abandoning the result abandons them all."""
    values: list[Any] = list(answers)
    waiting = [(index, answer) for index, answer in enumerate(values) if isinstance(answer, Pending)]
    if not waiting:
        return values
    left = len(waiting)

    def abandon() -> None:
        for _, answer in waiting:
            answer.abandon()

    result: Pending[list[T]] = Pending(abandon)

    def arrived(index: int, value: T) -> None:
        nonlocal left
        values[index] = value
        left -= 1
        if not left:
            result.complete(values)

    for index, answer in waiting:
        answer.then(partial(arrived, index))
    return result
