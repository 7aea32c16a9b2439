"""The table of transitions, whole."""

from __future__ import annotations

import itertools

import pytest

from moldau.core.base.errors import InvariantBroken
from moldau.core.coordinators.group.states import NEXT, RECORDED, GroupState, check_move

EMPTY, PREPARING, COMPLETING, STABLE, DEAD = GroupState
MOVES = {
    (EMPTY, PREPARING),
    (PREPARING, COMPLETING),
    (PREPARING, EMPTY),
    (COMPLETING, STABLE),
    (COMPLETING, PREPARING),
    (STABLE, PREPARING),
    (EMPTY, DEAD),
    (PREPARING, DEAD),
    (COMPLETING, DEAD),
    (STABLE, DEAD),
}


@pytest.mark.parametrize(("source", "target"), list(itertools.product(GroupState, GroupState)))
def test_only_these_moves_are_possible(source: GroupState, target: GroupState) -> None:
    if (source, target) in MOVES:
        check_move("g", source, target)
    else:
        with pytest.raises(InvariantBroken, match="'g'"):
            check_move("g", source, target)


def test_every_state_has_a_row() -> None:
    assert set(NEXT) == set(GroupState)


def test_names_are_kafkas() -> None:
    assert [state.value for state in GroupState] == [
        "Empty",
        "PreparingRebalance",
        "CompletingRebalance",
        "Stable",
        "Dead",
    ]
    assert {EMPTY, STABLE} == RECORDED
