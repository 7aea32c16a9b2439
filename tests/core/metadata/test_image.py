"""The image's look-ups."""

from __future__ import annotations

from moldau.core.metadata.image import BrokerImage, ClusterImage, PartitionImage, TopicImage

PARTITION = PartitionImage(1, 0, 0, (1,), (1,))
TOPIC = TopicImage("orders", b"t" * 16, (PARTITION,))


def test_partitions_by_name_and_index() -> None:
    image = ClusterImage(topics_by_name={"orders": TOPIC}, topics_by_id={TOPIC.id: TOPIC})
    assert image.partition("orders", 0) is PARTITION
    assert image.partition("orders", 1) is None
    assert image.partition("orders", -1) is None
    assert image.partition("nothing", 0) is None


def test_settings_of_a_resource_without_any() -> None:
    assert ClusterImage().config(2, "orders") == {}


def test_live_brokers_are_neither_fenced_nor_leaving() -> None:
    brokers = {
        3: BrokerImage(id=3, epoch=0, fenced=False),
        1: BrokerImage(id=1, epoch=0, fenced=False),
        2: BrokerImage(id=2, epoch=0),
        4: BrokerImage(id=4, epoch=0, fenced=False, in_controlled_shutdown=True),
    }
    assert [broker.id for broker in ClusterImage(brokers=brokers).live_brokers()] == [1, 3]
