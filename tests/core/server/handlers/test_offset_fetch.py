"""OffsetFetch on the wire's side: one group or several, names or ids."""

from __future__ import annotations

from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from moldau.core.server.handlers.offset_fetch import offset_fetch
from tests.support.group_context import Broker
from tests.support.groups import Asked, Groups


def made() -> Broker:
    broker = Broker()
    broker.groups.commit(5, metadata="m", topic_id=broker.topic_id("t"))
    broker.groups.commit(6, topic="gone")
    return broker


def one(group: str, *topics: tuple[str, list[int]], every: bool = False) -> OffsetFetchRequest:
    wanted = [OffsetFetchRequestTopic(name, partitions) for name, partitions in topics]
    return OffsetFetchRequest(group_id=group, topics=None if every else wanted)


def parts(topics: Any) -> list[tuple[str, list[tuple[int, int, str, int]]]]:
    return [
        (
            topic.name,
            [
                (part.partition_index, part.committed_offset, part.metadata, part.error_code)
                for part in topic.partitions
            ],
        )
        for topic in topics
    ]


@pytest.mark.parametrize("version", range(1, 8))
def test_one_group(version: int) -> None:
    answer = made().ask(offset_fetch, one("g", ("t", [0, 1]), ("nowhere", [0])), version)
    assert parts(answer.topics) == [
        ("t", [(0, 5, "m", 0), (1, -1, "", 0)]),
        ("nowhere", [(0, -1, "", 0)]),
    ]
    assert (answer.error_code, answer.topics[0].partitions[0].committed_leader_epoch) == (0, -1)


@pytest.mark.parametrize("version", range(2, 8))
def test_all_topics_of_one_group(version: int) -> None:
    broker = made()
    answer = broker.ask(offset_fetch, one("g", every=True), version)
    assert parts(answer.topics) == [("t", [(0, 5, "m", 0)]), ("gone", [(0, 6, "", 0)])]
    assert broker.ask(offset_fetch, one("nobody's", every=True), version).topics == []


def test_an_unknown_group_has_no_error() -> None:
    answer = made().ask(offset_fetch, one("nobody's", ("t", [0])), 7)
    assert (answer.error_code, parts(answer.topics)) == (0, [("t", [(0, -1, "", 0)])])


@pytest.mark.parametrize(("version", "top", "topics"), [(1, 0, [("t", [(0, -1, "", 16)])]), (2, 16, []), (7, 16, [])])
def test_a_coordinator_that_is_elsewhere(version: int, top: int, topics: list[Any]) -> None:
    broker = made()
    broker.groups.coordinator.on_partition_lost(0)
    answer = broker.ask(offset_fetch, one("g", ("t", [0])), version)
    assert (answer.error_code, parts(answer.topics)) == (top, topics)


@pytest.mark.parametrize("version", [8, 9])
def test_several_groups_by_name(version: int) -> None:
    groups = [
        OffsetFetchRequestGroup("g", topics=[OffsetFetchRequestTopics("t", partition_indexes=[0])]),
        OffsetFetchRequestGroup("g", topics=None),
        OffsetFetchRequestGroup("nobody's", topics=[OffsetFetchRequestTopics("nowhere", partition_indexes=[4])]),
    ]
    answer = made().ask(offset_fetch, OffsetFetchRequest(groups=groups), version)
    assert [(group.group_id, group.error_code, parts(group.topics)) for group in answer.groups] == [
        ("g", 0, [("t", [(0, 5, "m", 0)])]),
        ("g", 0, [("t", [(0, 5, "m", 0)]), ("gone", [(0, 6, "", 0)])]),
        ("nobody's", 0, [("nowhere", [(4, -1, "", 0)])]),
    ]


def test_groups_by_topic_id() -> None:
    broker = made()
    t = broker.topic_id("t")
    groups = [
        OffsetFetchRequestGroup(
            "g",
            topics=[
                OffsetFetchRequestTopics(topic_id=b"?" * 16, partition_indexes=[1]),
                OffsetFetchRequestTopics(topic_id=t, partition_indexes=[0]),
            ],
        ),
        OffsetFetchRequestGroup("g", topics=None),  # the topic that is gone has no id to be told by
    ]
    answer = broker.ask(offset_fetch, OffsetFetchRequest(groups=groups), 10)
    told = [
        [
            (topic.topic_id, [(part.committed_offset, part.error_code) for part in topic.partitions])
            for topic in group.topics
        ]
        for group in answer.groups
    ]
    assert told == [[(t, [(5, 0)]), (b"?" * 16, [(-1, 100)])], [(t, [(5, 0)])]]


def test_each_group_has_its_own_error() -> None:
    broker = made()
    broker.groups.coordinator.on_partition_lost(0)
    wanted = [OffsetFetchRequestTopics("t", partition_indexes=[0])]
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup("g", topics=wanted)])
    [group] = broker.ask(offset_fetch, request, 8).groups
    assert (group.group_id, group.error_code, group.topics) == ("g", ErrorCode.NOT_COORDINATOR, [])


def test_positions_in_a_topic_that_was_made_again_are_none() -> None:
    broker = Broker()
    broker.groups.commit(5, topic_id=b"!" * 16)
    assert parts(broker.ask(offset_fetch, one("g", ("t", [0])), 7).topics) == [("t", [(0, -1, "", 0)])]


def test_the_answer_waits_for_the_log() -> None:
    broker = Broker(Groups(commits_by_itself=False))
    broker.groups.commit(5)
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup("g", topics=None)])
    waiting = broker.ask(offset_fetch, request, 8)
    assert isinstance(waiting, Pending)
    broker.groups.log.commit()
    assert parts(Asked(waiting).answer.groups[0].topics) == [("t", [(0, 5, "", 0)])]
