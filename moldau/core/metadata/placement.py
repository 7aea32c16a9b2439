"""Which brokers hold the replicas of a new partition. Pure: the starting point is an argument."""

from __future__ import annotations

from collections.abc import Iterable

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.metadata.image import BrokerImage


def place(brokers: Iterable[BrokerImage], partitions: int, factor: int, start: int) -> list[list[int]] | Refusal:
    """Round robin: partition i's replicas begin `i + start` brokers on; leaders are unfenced brokers.

    Fenced brokers count towards the replication factor and take follower places only, as in Kafka. Each lap of
    the leaders shifts the followers by one, so that two brokers are not always each other's followers. Returns a
    list of replica ids per partition, the first of them to lead.
    """
    ordered = sorted(brokers, key=lambda broker: broker.id)
    leaders = [broker.id for broker in ordered if broker.live]
    if not leaders:
        return Refusal(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "All brokers are currently fenced, or have all their log directories cordoned.",
        )
    if factor > len(ordered):
        return Refusal(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The target replication factor of {factor} cannot be reached because only {len(ordered)} broker(s) "
            "are registered or some brokers have all their log directories cordoned.",
        )
    placed: list[list[int]] = []
    for index in range(partitions):
        leader = leaders[(start + index) % len(leaders)]
        others = [broker.id for broker in ordered if broker.id != leader]
        turn = start + index + index // len(leaders)
        placed.append([leader, *(others[(turn + place) % len(others)] for place in range(factor - 1))])
    return placed
