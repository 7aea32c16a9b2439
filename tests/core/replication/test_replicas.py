"""What a broker hosts follows the committed metadata."""

from __future__ import annotations

from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.log.config import LogConfig
from moldau.core.log.partition_log import PartitionLog
from moldau.core.metadata import topics
from moldau.core.metadata.creation import NewTopic
from moldau.core.metadata.image import ClusterImage, PartitionImage, TopicImage
from moldau.core.metadata.topics import DoomedTopic
from moldau.core.replication.partition import Partition
from moldau.core.replication.replicas import Replicas
from tests.support.images import created, replayed, with_brokers, with_topics
from tests.support.log_rig import ROOT, Rig, append

NODE = 1


class Node:
    """Replicas over a log directory in memory, and what they told."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.configs: dict[str, LogConfig] = {}
        self.image: ClusterImage | None = None
        self.start()

    def start(self) -> None:
        self.led: list[tuple[str, int]] = []
        self.lost: list[tuple[str, int]] = []
        self.replicas = Replicas(NODE, self.rig.directory, lambda _image, topic: self.configs.get(topic, LogConfig()))
        self.replicas.on_led = lambda partition: self.led.append((partition.topic, partition.index))
        self.replicas.on_lost = lambda partition: self.lost.append((partition.topic, partition.index))

    def apply(self, image: ClusterImage) -> None:
        self.replicas.apply(image, self.image)
        self.image = image

    def partition(self, topic: str, index: int = 0) -> Partition:
        found = self.replicas.get(topic, index)
        assert found is not None
        return found

    def log(self, topic: str, index: int = 0) -> PartitionLog:
        return self.partition(topic, index).log

    def restart(self) -> None:
        """A new process on the same disk, which was shut down in order."""
        self.rig.shut_down()
        self.rig.kill()
        self.image = None
        self.start()


@pytest.fixture
def node() -> Node:
    return Node()


def without(image: ClusterImage, name: str) -> ClusterImage:
    return replayed(image, topics.decide_deletion(image, [DoomedTopic(name, bytes(16))]).records)


def changed(image: ClusterImage, name: str, *partitions: PartitionImage) -> ClusterImage:
    """The image with other partitions of a topic."""
    old = image.topics_by_name[name]
    topic = TopicImage(name, old.id, partitions)
    return ClusterImage(
        cluster_id=image.cluster_id,
        offset=image.offset + 1,
        brokers=image.brokers,
        topics_by_name={**image.topics_by_name, name: topic},
        topics_by_id={**image.topics_by_id, old.id: topic},
    )


class Waiter:
    deadline_ms = 100

    def __init__(self) -> None:
        self.told: list[ErrorCode] = []

    def settled(self, part: Any, code: ErrorCode) -> None:
        self.told.append(code)

    def advanced(self, partition: Any) -> None:
        self.told.append(ErrorCode.NONE)


def test_a_new_topic_is_hosted_by_name_and_by_id(node: Node) -> None:
    image = with_topics(NewTopic("orders", 3))
    node.apply(image)
    assert node.led == [("orders", 0), ("orders", 1), ("orders", 2)]
    topic = image.topics_by_name["orders"]
    assert node.replicas.by_name["orders"] is node.replicas.by_id[topic.id]
    assert [partition.index for partition in node.replicas.all()] == [0, 1, 2]
    partition = node.partition("orders", 1)
    assert (partition.topic_id, partition.leader_epoch, partition.internal) == (topic.id, 0, False)
    assert node.rig.directory.logs["orders", 1] is partition.log


@pytest.mark.parametrize(("topic", "index"), [("orders", 3), ("orders", -1), ("absent", 0)])
def test_what_is_not_hosted(node: Node, topic: str, index: int) -> None:
    node.apply(with_topics(NewTopic("orders", 3)))
    assert node.replicas.get(topic, index) is None


def test_internal_topics_are_known_as_such(node: Node) -> None:
    node.apply(with_topics(NewTopic("__consumer_offsets", 1)))
    assert node.partition("__consumer_offsets").internal


def test_partitions_that_others_lead_are_gaps(node: Node) -> None:
    image = with_topics(NewTopic("orders", 2))
    first, second = image.topics_by_name["orders"].partitions
    node.apply(changed(image, "orders", first, second._replace(leader=2), first))
    assert [partition is not None for partition in node.replicas.by_name["orders"]] == [True, False, True]
    assert len(node.replicas.all()) == 2


def test_what_did_not_change_is_left_alone(node: Node) -> None:
    image = with_topics(NewTopic("orders", 2))
    node.apply(image)
    before = node.partition("orders")
    node.apply(created(image, NewTopic("other", 1))[0])
    assert node.partition("orders") is before
    assert node.led[2:] == [("other", 0)]


def test_a_leader_epoch_rises_and_partitions_are_added(node: Node) -> None:
    image = with_topics(NewTopic("orders", 1))
    node.apply(image)
    before = node.partition("orders")
    (state,) = image.topics_by_name["orders"].partitions
    node.apply(changed(image, "orders", state._replace(leader_epoch=4), state))
    assert node.partition("orders") is before
    assert before.leader_epoch == 4
    assert node.led == [("orders", 0), ("orders", 1)]


def test_a_deleted_topic_tells_everyone_and_goes(node: Node) -> None:
    image = with_topics(NewTopic("orders", 1), NewTopic("other", 1))
    node.apply(image)
    partition = node.partition("orders")
    append(partition.log, [b"a"])
    node.rig.settle()
    append(partition.log, [b"b"])
    writer, reader = Waiter(), Waiter()
    partition.wait_committed(2, writer, None)
    partition.fetch_waiters[reader] = None
    node.apply(without(image, "orders"))
    assert (writer.told, reader.told) == ([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION], [ErrorCode.NONE])
    assert node.lost == [("orders", 0)]
    assert (list(node.replicas.by_name), len(node.replicas.by_id)) == (["other"], 1)
    assert ("orders", 0) not in node.rig.directory.logs
    node.rig.settle()
    assert not [name for name in node.rig.disk.list(ROOT) if name.startswith("orders")]


def test_a_directory_that_cannot_be_deleted_is_lost_and_the_other_topics_are_told(node: Node) -> None:
    image = with_topics(NewTopic("orders", 1), NewTopic("other", 1))
    node.apply(image)
    for topic in ("orders", "other"):
        append(node.log(topic), [b"a"])
    node.rig.settle()
    node.rig.files.fail("rename", OSError(5, "EIO"))
    more, _ = created(without(image, "orders"), NewTopic("third", 1))
    node.apply(more)
    assert sorted(node.replicas.by_name) == ["other", "third"]
    assert node.rig.directory.offline
    assert node.log("other").offline


def test_a_topic_made_again_is_another(node: Node) -> None:
    image = with_topics(NewTopic("orders", 1))
    node.apply(image)
    append(node.log("orders"), [b"old"])
    node.rig.settle()
    old_id = image.topics_by_name["orders"].id
    again, _ = created(without(image, "orders"), NewTopic("orders", 2))
    node.apply(again)
    new_id = again.topics_by_name["orders"].id
    assert new_id != old_id
    assert list(node.replicas.by_id) == [new_id]
    assert [(node.log("orders", index).topic_id, node.log("orders", index).end_offset) for index in (0, 1)] == [
        (new_id, 0),
        (new_id, 0),
    ]
    assert node.lost == [("orders", 0)]


def test_a_log_of_an_older_topic_of_that_name_is_deleted_at_the_start(node: Node) -> None:
    image = with_topics(NewTopic("orders", 1))
    node.apply(image)
    append(node.log("orders"), [b"old"])
    node.restart()
    again, _ = created(without(image, "orders"), NewTopic("orders", 1))
    node.apply(again)
    assert node.log("orders").end_offset == 0
    assert node.log("orders").topic_id == again.topics_by_name["orders"].id


def test_a_log_is_taken_up_again_at_the_start(node: Node) -> None:
    image = with_topics(NewTopic("orders", 1))
    node.apply(image)
    append(node.log("orders"), [b"a", b"b"])
    node.restart()
    node.apply(image)
    partition = node.partition("orders")
    assert (partition.log.end_offset, partition.high_watermark) == (2, 2)


def test_a_log_without_an_id_gets_the_one_of_its_topic(node: Node) -> None:
    image = with_topics(NewTopic("orders", 1))
    existing = node.rig.log("orders")
    existing.topic_id = bytes(16)
    append(existing, [b"a"])
    node.rig.settle()
    node.apply(image)
    assert node.log("orders") is existing
    assert existing.topic_id == node.partition("orders").topic_id == image.topics_by_name["orders"].id


def test_a_topics_settings_reach_its_log(node: Node) -> None:
    node.configs["relaxed"] = LogConfig(durability="page-cache")
    node.apply(with_topics(NewTopic("relaxed", 1), NewTopic("orders", 1)))
    assert not node.partition("relaxed").synced_only
    assert node.partition("orders").synced_only
    append(node.log("relaxed"), [b"a"])
    append(node.log("orders"), [b"a"])
    node.rig.turn()
    assert [node.partition(topic).high_watermark for topic in ("relaxed", "orders")] == [1, 0]
    node.rig.settle()
    assert node.partition("orders").high_watermark == 1


def test_time_is_up_for_those_who_wait(node: Node) -> None:
    node.apply(with_topics(NewTopic("orders", 2)))
    waiter = Waiter()
    assert not node.replicas.waiting
    append(node.log("orders", 1), [b"a"])
    node.partition("orders", 1).wait_committed(1, waiter, None)
    assert node.replicas.waiting
    node.replicas.tick(99)
    assert (node.replicas.now_ms, waiter.told) == (99, [])
    node.replicas.tick(100)
    assert waiter.told == [ErrorCode.REQUEST_TIMED_OUT]
    assert not node.replicas.waiting


def test_an_end_tells_everyone(node: Node) -> None:
    node.apply(with_topics(NewTopic("orders", 2)))
    waiters = [Waiter(), Waiter()]
    for index, waiter in enumerate(waiters):
        append(node.log("orders", index), [b"a"])
        node.partition("orders", index).wait_committed(1, waiter, None)
    node.replicas.close(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert [waiter.told for waiter in waiters] == [[ErrorCode.NOT_LEADER_OR_FOLLOWER]] * 2


def test_nothing_is_hosted_of_a_cluster_without_topics(node: Node) -> None:
    node.apply(with_brokers())
    assert (node.replicas.all(), node.led) == ([], [])
