"""Placement: round robin, and its refusals."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.metadata.image import BrokerImage
from moldau.core.metadata.placement import place


def brokers(count: int, fenced: frozenset[int] = frozenset()) -> list[BrokerImage]:
    return [BrokerImage(id=id, epoch=0, fenced=id in fenced) for id in range(1, count + 1)]


def test_one_broker_leads_everything() -> None:
    assert place(brokers(1), 3, 1, 17) == [[1], [1], [1]]


def test_leaders_go_round() -> None:
    placed = place(brokers(3), 4, 1, 1)
    assert placed == [[2], [3], [1], [2]]


def test_nobody_is_unfenced() -> None:
    refused = place(brokers(2, frozenset({1, 2})), 1, 1, 0)
    assert isinstance(refused, Refusal)
    assert refused.code == ErrorCode.INVALID_REPLICATION_FACTOR
    assert refused.message == "All brokers are currently fenced, or have all their log directories cordoned."


def test_too_few_brokers() -> None:
    refused = place(brokers(2), 1, 3, 0)
    assert isinstance(refused, Refusal)
    assert refused.message == (
        "The target replication factor of 3 cannot be reached because only 2 broker(s) are registered "
        "or some brokers have all their log directories cordoned."
    )


@given(st.integers(1, 7), st.integers(1, 40), st.integers(0, 1 << 32), st.data())
def test_placements_are_even_and_sound(count: int, partitions: int, start: int, data: st.DataObject) -> None:
    factor = data.draw(st.integers(1, count))
    fenced = frozenset(data.draw(st.sets(st.integers(1, count), max_size=count - 1)))
    placed = place(brokers(count, fenced), partitions, factor, start)
    assert isinstance(placed, list)
    assert len(placed) == partitions
    for replicas in placed:
        assert len(replicas) == len(set(replicas)) == factor
        assert replicas[0] not in fenced
    led = Counter(replicas[0] for replicas in placed)
    assert max(led.values()) - min(led.values() if len(led) == count - len(fenced) else [0]) <= 1
