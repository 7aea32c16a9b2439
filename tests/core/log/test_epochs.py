"""Which leader epoch began at which offset, and what is answered about it."""

from __future__ import annotations

import pytest

from moldau.core.log.epochs import LeaderEpochs


def epochs() -> LeaderEpochs:
    return LeaderEpochs([(2, 10), (4, 20), (7, 35)])


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (-1, (-1, -1)),
        (0, (0, 10)),  # older than anything known: it ended where the oldest begins
        (2, (2, 20)),
        (3, (2, 20)),
        (4, (4, 35)),
        (6, (4, 35)),
        (7, (7, 50)),
        (8, (-1, -1)),
    ],
)
def test_where_an_epoch_ended(asked: int, answered: tuple[int, int]) -> None:
    assert epochs().end_offset_for(asked, 50) == answered


def test_the_leaders_epoch_counts_before_its_first_append() -> None:
    assert epochs().end_offset_for(8, 50, current=9) == (7, 50)
    assert epochs().end_offset_for(9, 50, current=9) == (9, 50)
    assert epochs().end_offset_for(10, 50, current=9) == (-1, -1)
    assert LeaderEpochs().end_offset_for(0, 0, current=0) == (0, 0)
    assert LeaderEpochs().end_offset_for(0, 0) == (-1, -1)


def test_the_epoch_of_an_offset() -> None:
    known = epochs()
    assert [known.epoch_at(offset) for offset in (9, 10, 19, 20, 34, 35, 99)] == [-1, 2, 2, 4, 4, 7, 7]


def test_only_newer_epochs_are_assigned() -> None:
    known = epochs()
    known.assign(7, 60)
    known.assign(3, 60)
    assert known.saved
    known.assign(8, 60)
    assert known.entries[-1] == (8, 60)
    assert not known.saved


def test_an_epoch_takes_the_place_of_those_that_began_behind_it() -> None:
    known = epochs()
    known.assign(9, 20)
    assert known.entries == [(2, 10), (9, 20)]


def test_cutting_both_ends() -> None:
    known = epochs()
    known.truncate_to(35)
    assert known.entries == [(2, 10), (4, 20)]
    assert not known.saved
    known.advance_start(25)
    assert known.entries == [(4, 25)]
    known.advance_start(24)
    assert known.entries == [(4, 25)]
    known.truncate_to(0)
    assert known.entries == []
    assert known.latest == -1
