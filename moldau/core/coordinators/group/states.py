"""The states of a classic group, and the only table of its transitions.

    Empty -> PreparingRebalance -> CompletingRebalance -> Stable
      ^             |   ^                   |               |
      +-------------+   +-------------------+---------------+

Dead is what a group is after its shard was unloaded, and what clients are told of a group that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from moldau.core.base.errors import InvariantBroken


class GroupState(Enum):
    """Values are the names that clients see."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


NEXT: Mapping[GroupState, frozenset[GroupState]] = {
    GroupState.EMPTY: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.PREPARING_REBALANCE: frozenset({GroupState.COMPLETING_REBALANCE, GroupState.EMPTY, GroupState.DEAD}),
    GroupState.COMPLETING_REBALANCE: frozenset({GroupState.STABLE, GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.STABLE: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.DEAD: frozenset(),
}

# A group metadata record says one of these; a replay may go from one to the other, because what lay between was
# never recorded.
RECORDED = frozenset({GroupState.EMPTY, GroupState.STABLE})


def check_move(group_id: str, source: GroupState, target: GroupState) -> None:
    """Raises InvariantBroken for a move that the table does not have."""
    if target not in NEXT[source]:
        raise InvariantBroken(f"group {group_id!r} cannot go from {source.value} to {target.value}")
