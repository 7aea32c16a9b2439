"""The checker sees every bug it is there for, and nothing where there is none."""

from __future__ import annotations

import pytest

from tests.support.history import Commit, Send, group_problems, problems


def sent(number: int, offset: int | None, *, idempotent: bool = True, producer: str = "p") -> Send:
    return Send(producer, 0, b"%d" % number, offset, idempotent)


def stored(*numbers: int, first: int = 0) -> dict[int, list[tuple[int, bytes]]]:
    return {0: [(first + index, b"%d" % number) for index, number in enumerate(numbers)]}


def kinds(found: list[str]) -> list[str]:
    return [line.partition(":")[0] for line in found]


THREE = [sent(1, 0), sent(2, 1), sent(3, 2)]


def test_a_log_that_holds_what_was_acknowledged_is_fine() -> None:
    assert problems(THREE, stored(1, 2, 3), [(0, 1, b"2")]) == []


@pytest.mark.parametrize(
    ("bug", "log"),
    [
        ("lost", stored(1, 2)),
        ("moved", stored(1, 3, 2)),
        ("reordered", {0: [(0, b"2"), (1, b"1"), (2, b"3")]}),
        ("duplicated", stored(1, 2, 3, 2)),
        ("invented", stored(1, 2, 3, 4)),
        ("gap", {0: [(0, b"1"), (1, b"2"), (2, b"3"), (5, b"3")]}),
    ],
)
def test_a_planted_bug_is_seen(bug: str, log: dict[int, list[tuple[int, bytes]]]) -> None:
    assert bug in kinds(problems(THREE, log))


def test_order_counts_also_for_unacknowledged_values_of_an_idempotent_producer() -> None:
    sends = [sent(1, None), sent(2, 0)]
    assert kinds(problems(sends, stored(2, 1))) == ["reordered"]


def test_an_unacknowledged_value_may_be_stored_or_not() -> None:
    sends = [sent(1, 0), sent(2, None), sent(3, 1)]
    assert problems(sends, stored(1, 3)) == []
    sends = [sent(1, 0), sent(2, None), sent(3, 2)]
    assert problems(sends, stored(1, 2, 3)) == []


def test_a_producer_without_idempotence_may_store_twice_and_what_it_gave_up_may_stand_anywhere() -> None:
    sends = [
        sent(1, None, idempotent=False),
        sent(2, 0, idempotent=False),
        sent(3, 1, idempotent=False),
    ]
    assert problems(sends, stored(2, 3, 1, 3)) == []
    assert set(kinds(problems(sends, stored(3, 2)))) == {"moved", "reordered"}


def test_an_acknowledged_value_without_idempotence_may_not_be_lost() -> None:
    assert kinds(problems([sent(1, 0, idempotent=False)], {0: []})) == ["lost"]


def test_producers_are_ordered_each_for_itself() -> None:
    sends = [sent(1, 1, producer="a"), sent(2, 0, producer="b"), sent(3, 2, producer="a")]
    assert problems(sends, stored(2, 1, 3)) == []


def test_what_a_consumer_saw_must_still_stand_there() -> None:
    assert kinds(problems(THREE, stored(1, 2, 3), [(0, 2, b"gone")])) == ["unstable"]
    assert kinds(problems(THREE, stored(1, 2, 3), [(0, 3, b"beyond the end")])) == ["unstable"]


@pytest.mark.parametrize(
    ("resumed", "found"),
    [(10, []), (12, []), (9, ["rewound"]), (-1, ["rewound"]), (13, ["skipped"])],
)
def test_a_group_goes_on_between_its_last_acknowledged_and_its_last_tried_commit(
    resumed: int, found: list[str]
) -> None:
    log = stored(*range(20))
    reads = [(0, offset, value) for offset, value in log[0]]
    assert kinds(group_problems({0: Commit(10, 12)}, {0: resumed}, log, reads)) == found


def test_a_group_was_given_every_record_before_its_committed_offset() -> None:
    log = stored(1, 2, 3, 4)
    reads = [(0, 0, b"1"), (0, 2, b"3")]
    assert group_problems({0: Commit(3, 3)}, {0: 3}, log, reads) == ["unread: b'2' at 0-1 is before the committed 3"]
