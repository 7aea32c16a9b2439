"""The facade: which shard, and what becomes of questions while shards are not there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moldau.core.base.clock import ManualClock
from moldau.core.base.errors import ErrorCode
from moldau.core.coordinators.coordinator import GroupCoordinator, java_hash, partition_of_hash
from moldau.core.coordinators.group.asks import ListedGroup
from moldau.core.coordinators.group.config import OFFSETS_TOPIC, GroupConfig
from moldau.core.coordinators.group.states import GroupState
from moldau.core.metadata.image import ClusterImage, PartitionImage, TopicImage
from tests.support.groups import GROUP, Asked, Groups


# From Java: "...".hashCode()
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("a", 97),
        ("group", 98629247),
        ("my-consumer-group", 1513705513),
        ("polygenelubricants", -2147483648),
        ("\u00e9", 233),
        ("\U0001f600", 1772899),
        ("x" * 300, -1757771264),
    ],
)
def test_the_hash_is_javas(text: str, value: int) -> None:
    assert java_hash(text) == value


@pytest.mark.parametrize(("value", "partition"), [(98629247, 47), (-7, 7), (-2147483648, 0), (49, 49), (50, 0)])
def test_the_partition_is_kafkas(value: int, partition: int) -> None:
    assert partition_of_hash(value, 50) == partition


def topic(name: str, topic_id: bytes, partitions: int = 1) -> TopicImage:
    return TopicImage(name, topic_id, (PartitionImage(1, 0, 0, (1,), (1,)),) * partitions)


def image(*topics: TopicImage) -> ClusterImage:
    return replace(
        ClusterImage(),
        topics_by_name={each.name: each for each in topics},
        topics_by_id={each.id: each for each in topics},
    )


def test_partitions_are_those_of_the_topic_that_exists() -> None:
    coordinator = GroupCoordinator(GroupConfig(), ManualClock(), lambda: "1", lambda call: call())
    assert coordinator.partition_for("group") == 47
    coordinator.on_image(image(topic(OFFSETS_TOPIC, b"o" * 16, 3)), image())
    assert (coordinator.partitions, coordinator.partition_for("group")) == (3, 98629247 % 3)
    coordinator.on_image(image(), image(topic(OFFSETS_TOPIC, b"o" * 16, 3)))
    assert coordinator.partitions == 50


def test_topics_that_are_gone_or_made_again_lose_their_offsets() -> None:
    groups = Groups()
    for name in ("gone", "again", "stays"):
        groups.commit(1, topic=name)
    before = image(topic("gone", b"1" * 16), topic("again", b"2" * 16), topic("stays", b"3" * 16))
    after = image(topic("again", b"4" * 16), topic("stays", b"3" * 16))
    after = replace(
        after,
        topics_by_name={**after.topics_by_name, OFFSETS_TOPIC: topic(OFFSETS_TOPIC, b"o" * 16)},
    )
    groups.coordinator.on_image(after, before)
    assert groups.committed() == {("stays", 0): 1}


def test_groups_are_spread_and_listed_together() -> None:
    groups = Groups(partitions=5)
    names = [f"group-{number}" for number in range(10)]
    for name in names:
        groups.commit(1, group=name)
    assert len({groups.coordinator.partition_for(name) for name in names}) > 1
    listed = Asked(groups.coordinator.list_groups()).answer
    assert sorted(listed) == [ListedGroup(name, "", GroupState.EMPTY) for name in sorted(names)]


def unreachable(groups: Groups) -> dict[str, ErrorCode]:
    beat = groups.coordinator.heartbeat(GROUP, "m", None, 1)
    assert isinstance(beat, ErrorCode)
    return {
        "join": groups.join().error,
        "sync": groups.sync("m", 1).error,
        "beat": beat,
        "leave": Asked(groups.coordinator.leave(GROUP, [])).error,
        "commit": groups.commit(1).error,
        "fetch": Asked(groups.coordinator.fetch(GROUP, None, require_stable=True)).error,
        "describe": Asked(groups.coordinator.describe(GROUP)).error,
    }


def test_a_partition_that_is_not_here() -> None:
    groups = Groups()
    groups.coordinator.on_partition_lost(0)
    assert set(unreachable(groups).values()) == {ErrorCode.NOT_COORDINATOR}
    assert groups.coordinator.list_groups() == []


def test_a_partition_that_is_being_loaded() -> None:
    groups = Groups(commits_by_itself=False)
    groups.commit(1)
    groups.coordinator.on_partition_led(0, groups.log)
    errors = unreachable(groups)
    assert errors.pop("beat") is ErrorCode.NONE  # members shall stay calm
    assert set(errors.values()) == {ErrorCode.COORDINATOR_LOAD_IN_PROGRESS}
    assert groups.coordinator.list_groups() is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    groups.log.commit()
    assert groups.committed() == {("t", 0): 1}


def test_a_slow_log_sends_readers_to_another_coordinator() -> None:
    groups = Groups(commits_by_itself=False)
    commit = groups.commit(1)
    fetch = Asked(groups.coordinator.fetch(GROUP, None, require_stable=True))
    listing = Asked(groups.coordinator.list_groups())
    assert commit.waits
    assert fetch.waits
    groups.wait(5000)
    # Old consumers do not retry 15 for a fetch.
    assert (commit.error, fetch.error) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR)
    assert listing.error is ErrorCode.COORDINATOR_NOT_AVAILABLE


def test_members_see_only_what_is_committed() -> None:
    groups = Groups(commits_by_itself=False)
    member = groups.join().join.member_id
    groups.join(member)
    mine = groups.sync(member, 1, {member: b"A"})
    again = groups.sync(member, 1)
    described = Asked(groups.coordinator.describe(GROUP))
    assert [asked.waits for asked in (mine, again, described)] == [True, True, True]
    assert groups.beat(member, 1) is ErrorCode.NONE
    groups.log.commit()
    assert (mine.sync.assignment, again.sync.assignment) == (b"A", b"A")
    assert described.answer.state is GroupState.STABLE


def test_an_assignment_that_is_lost_is_refused_and_the_group_starts_over() -> None:
    groups = Groups(commits_by_itself=False)
    member = groups.join()
    groups.log.commit()
    waiting = groups.sync(groups.join(member.join.member_id).join.member_id, 1, {})
    groups.log.lose()
    assert waiting.error is ErrorCode.NOT_COORDINATOR
    groups.tick()
    assert groups.state() is GroupState.EMPTY
    assert groups.coordinator.next_deadline_ms() is not None
