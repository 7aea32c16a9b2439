"""OffsetForLeaderEpoch on the wire: where epochs ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from tests.core.server.handlers.conftest import Held
from tests.support.asks import Topic, new_topic, produce
from tests.support.inprocess import InProcess
from tests.support.log_batches import make_batch
from tests.support.wire import Wire

UNKNOWN = (0, -1, -1)


def ask(
    wire: Wire, topic: Topic, epoch: int, *, current: int = -1, index: int = 0, version: int = 4
) -> tuple[int, int, int]:
    """(error, epoch, end offset)."""
    asked = OffsetForLeaderPartition(partition=index, current_leader_epoch=current, leader_epoch=epoch)
    request = OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic.name, [asked])])
    answer = wire.call(request, OffsetForLeaderEpochResponse, version)
    ((part,),) = [each.partitions for each in answer.topics]
    assert (answer.topics[0].topic, part.partition) == (topic.name, index)
    return part.error_code, part.leader_epoch, part.end_offset


@pytest.fixture
def topic(wire: Wire) -> Topic:
    made = new_topic(wire)
    produce(wire, made, make_batch([b"a", b"b"]))
    return made


@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_epoch_that_goes_on_ends_where_readers_may_be(wire: Wire, topic: Topic, version: int) -> None:
    assert ask(wire, topic, 0, version=version) == (0, 0, 2)
    assert ask(wire, new_topic(wire), 0, version=version) == (0, 0, 0)


def test_nothing_is_known_of_epochs_to_come(wire: Wire, topic: Topic) -> None:
    assert [ask(wire, topic, epoch) for epoch in (-1, 1, 7)] == [UNKNOWN] * 3


def test_the_leaders_epoch_is_checked(wire: Wire, topic: Topic) -> None:
    assert ask(wire, topic, 0, current=0) == (0, 0, 2)
    assert ask(wire, topic, 0, current=1) == (ErrorCode.UNKNOWN_LEADER_EPOCH, -1, -1)
    assert ask(wire, topic, 0, current=-5) == (ErrorCode.FENCED_LEADER_EPOCH, -1, -1)


def test_unknown_places(wire: Wire, topic: Topic) -> None:
    missing = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1)
    assert ask(wire, Topic("absent"), 0) == missing
    assert [ask(wire, topic, 0, index=index) for index in (1, -1)] == [missing] * 2


def test_every_mention_is_answered(wire: Wire, topic: Topic) -> None:
    parts = [OffsetForLeaderPartition(partition=0, leader_epoch=epoch) for epoch in (0, 7, 0)]
    request = OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic.name, parts)])
    (answer,) = wire.call(request, OffsetForLeaderEpochResponse, 4).topics
    assert [(part.leader_epoch, part.end_offset) for part in answer.partitions] == [(0, 2), (-1, -1), (0, 2)]


def test_epochs_across_restarts(tmp_path: Path, oracle: bool) -> None:
    if oracle:
        pytest.skip("restarts a broker of ours")
    with InProcess(tmp_path) as broker, broker.connect() as wire:
        topic = new_topic(wire)
        produce(wire, topic, make_batch([b"a", b"b"]))
    with InProcess(tmp_path) as broker, broker.connect() as wire:
        partition = broker.broker.replicas.by_name[topic.name][0]
        assert partition is not None
        epoch = partition.leader_epoch
        assert epoch > 0
        assert ask(wire, topic, epoch) == (0, epoch, 2), "before any append"
        assert ask(wire, topic, 0) == ask(wire, topic, epoch - 1) == (0, 0, 2)
        produce(wire, topic, make_batch())
        assert ask(wire, topic, 0) == ask(wire, topic, epoch - 1) == (0, 0, 2)
        assert ask(wire, topic, epoch) == (0, epoch, 3)
        assert ask(wire, topic, 0, current=0) == (ErrorCode.FENCED_LEADER_EPOCH, -1, -1)


def test_a_partition_without_a_leader(held: Held) -> None:
    topic = new_topic(held.wire)

    def resign() -> None:
        held.broker.broker.replicas.by_name[topic.name][0] = None

    held.broker.on_loop(resign)
    assert ask(held.wire, topic, 0) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1, -1)
