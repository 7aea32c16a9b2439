"""OffsetCommit on the wire's side."""

from __future__ import annotations

from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from moldau.core.server.handlers.offset_commit import offset_commit
from tests.support.group_context import Broker
from tests.support.groups import Groups

Wanted = list[tuple[str, list[int]]]


def request(broker: Broker, version: int, topics: Wanted, **how: Any) -> OffsetCommitRequest:
    def topic(name: str, partitions: list[int]) -> OffsetCommitRequestTopic:
        parts = [OffsetCommitRequestPartition(index, 100 + index, 7, "m") for index in partitions]
        if version < 6:
            for part in parts:
                part.committed_leader_epoch = -1
        if version < 10:
            return OffsetCommitRequestTopic(name, partitions=parts)
        known = name in broker.controller.image.topics_by_name
        return OffsetCommitRequestTopic(topic_id=broker.topic_id(name) if known else b"?" * 16, partitions=parts)

    return OffsetCommitRequest(group_id="g", topics=[topic(name, partitions) for name, partitions in topics], **how)


def errors(answer: Any) -> list[tuple[str, list[tuple[int, int]]]]:
    return [
        (topic.name, [(part.partition_index, part.error_code) for part in topic.partitions]) for topic in answer.topics
    ]


@pytest.mark.parametrize("version", range(2, 11))
def test_positions_are_stored_and_every_partition_is_answered(version: int) -> None:
    broker = Broker()
    wanted: Wanted = [("t", [0, 1, 2]), ("nowhere", [0]), ("u", [0])]
    answer = broker.ask(offset_commit, request(broker, version, wanted), version)
    unknown = 3 if version < 10 else 100
    names = ["t", "nowhere", "u"] if version < 10 else ["", "", ""]
    assert errors(answer) == list(zip(names, [[(0, 0), (1, 0), (2, 3)], [(0, unknown)], [(0, 0)]], strict=True))
    if version >= 10:
        assert [topic.topic_id for topic in answer.topics] == [broker.topic_id("t"), b"?" * 16, broker.topic_id("u")]
    assert broker.groups.committed() == {("t", 0): 100, ("t", 1): 101, ("u", 0): 100}
    stored = broker.groups.shard().offsets.get("g", "t", 0)
    assert stored is not None
    assert (stored.topic_id, stored.leader_epoch) == (broker.topic_id("t"), 7 if version >= 6 else -1)


def test_version_4_can_bring_a_retention() -> None:
    broker = Broker()
    broker.ask(offset_commit, request(broker, 4, [("t", [0])], retention_time_ms=5), 4)
    stored = broker.groups.shard().offsets.get("g", "t", 0)
    assert stored is not None
    assert stored.expires_ms == stored.committed_ms + 5


@pytest.mark.parametrize(("version", "error"), [(8, 22), (9, 69), (10, 69)])
def test_a_refused_group_refuses_what_was_left_to_refuse(version: int, error: int) -> None:
    broker = Broker()
    ask = request(broker, version, [("t", [0, 2])], generation_id_or_member_epoch=1, member_id="m")
    assert errors(broker.ask(offset_commit, ask, version))[0][1] == [(0, error), (2, 3)]


def test_null_metadata_is_none() -> None:
    broker = Broker()
    ask = request(broker, 8, [("t", [0])])
    ask.topics[0].partitions[0].committed_metadata = None
    broker.ask(offset_commit, ask, 8)
    stored = broker.groups.shard().offsets.get("g", "t", 0)
    assert stored is not None
    assert stored.metadata == ""


def test_long_metadata_is_refused_alone() -> None:
    broker = Broker()
    ask = request(broker, 8, [("t", [0, 1])])
    ask.topics[0].partitions[0].committed_metadata = "x" * 4097
    assert errors(broker.ask(offset_commit, ask, 8)) == [("t", [(0, 12), (1, 0)])]


def test_nothing_to_commit_asks_no_coordinator() -> None:
    broker = Broker()
    broker.groups.coordinator.on_partition_lost(0)
    assert errors(broker.ask(offset_commit, request(broker, 8, []), 8)) == []
    assert errors(broker.ask(offset_commit, request(broker, 8, [("nowhere", [0])]), 8)) == [("nowhere", [(0, 3)])]
    refused = broker.ask(offset_commit, request(broker, 8, [("t", [0])]), 8)
    assert errors(refused) == [("t", [(0, ErrorCode.NOT_COORDINATOR)])]


def test_the_answer_waits_for_the_log() -> None:
    broker = Broker(Groups(commits_by_itself=False))
    waiting = broker.ask(offset_commit, request(broker, 8, [("t", [0])]), 8)
    assert isinstance(waiting, Pending)
    assert not waiting.done
    broker.groups.log.commit()
    assert errors(waiting.value) == [("t", [(0, 0)])]
