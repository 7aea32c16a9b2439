"""Which topics a stable consumer group reads."""

from __future__ import annotations

import struct

import pytest

from moldau.core.coordinators.group.subscription import subscribed_topics
from moldau.core.protocol import codec
from moldau.core.protocol.messages.consumer_protocol import ConsumerProtocolSubscription
from tests.support.groups import GROUP, Groups


def metadata(version: int, *topics: str) -> bytes:
    encode = codec.encoder(ConsumerProtocolSubscription, version)
    return struct.pack(">h", version) + encode(ConsumerProtocolSubscription(topics=list(topics)))


def topics_of(*subscriptions: bytes, kind: str = "consumer") -> frozenset[str] | None:
    groups = Groups(initial_rebalance_delay_ms=3000)
    for subscription in subscriptions:
        groups.enter(kind=kind, protocols=(("range", subscription),))
    for _ in range(3):
        groups.wait(3000)
    return subscribed_topics(groups.shard().groups[GROUP])


def test_the_topics_of_all_members_in_any_version() -> None:
    assert topics_of(metadata(0, "a", "b"), metadata(3, "b", "c")) == frozenset("abc")


@pytest.mark.parametrize("broken", [b"", b"\0", b"\0\0\0\0\0\5", b"\xff\xff\0\0\0\0"])
def test_what_cannot_be_read_leaves_it_open(broken: bytes) -> None:
    assert topics_of(metadata(0, "a"), broken) is None


def test_only_consumers_subscribe() -> None:
    assert topics_of(metadata(0, "a"), kind="connect") is None
