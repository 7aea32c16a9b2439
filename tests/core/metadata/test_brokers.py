"""Brokers: registration, what they lead after a start, and the replay of their records."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.metadata import brokers
from moldau.core.metadata.creation import NewTopic
from moldau.core.metadata.image import NO_LEADER, ClusterImage
from moldau.core.protocol.stored.metadata import (
    BrokerRegistrationChangeRecord,
    FenceBrokerRecord,
    PartitionChangeRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
)
from tests.support.images import DIRECTORY, EMPTY, registration, replayed, with_brokers, with_topics


def claimed(image: ClusterImage, broker_id: int = 1) -> ClusterImage:
    for decision in brokers.decide_claims(image, broker_id):
        image = replayed(image, decision.records)
    return image


def test_a_registered_broker_is_live_in_the_epoch_of_its_offset() -> None:
    decision = brokers.decide_registration(registration(), 14)
    assert decision.answer == 14
    broker = replayed(EMPTY, decision.records).brokers[1]
    assert (broker.epoch, broker.live, broker.directories, broker.cordoned) == (14, True, (DIRECTORY,), ())
    assert broker.endpoints["PLAINTEXT"].port == 9092
    assert broker.features["metadata.version"].highest == 30


def test_a_broker_that_comes_back_raises_the_epoch_of_all_it_leads() -> None:
    before = with_topics(NewTopic("a", 3), NewTopic("b", 1))
    after = claimed(before)
    for name in ("a", "b"):
        for old, new in zip(before.topics_by_name[name].partitions, after.topics_by_name[name].partitions, strict=True):
            assert (new.leader, new.leader_epoch, new.partition_epoch) == (1, old.leader_epoch + 1, 1)


def test_claims_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "CLAIM_CHUNK", 2)
    image = with_topics(NewTopic("a", 5))
    assert [len(decision.records) for decision in brokers.decide_claims(image, 1)] == [2, 2, 1]


def test_nothing_of_others_is_claimed() -> None:
    image = with_topics(NewTopic("a", 2), image=with_brokers((1, 2)))
    led = {index for index, partition in enumerate(image.topics_by_name["a"].partitions) if partition.leader == 2}
    after = claimed(image, 2)
    for index, partition in enumerate(after.topics_by_name["a"].partitions):
        assert partition.leader_epoch == (1 if index in led else 0)


@pytest.mark.parametrize(
    ("isr", "eligible", "last_known"),
    [([1], None, None), ([], [1], [1]), ([], None, [1])],
    ids=["in sync", "eligible", "last known"],
)
def test_a_leaderless_partition_is_led_again(
    isr: list[int], eligible: list[int] | None, last_known: list[int] | None
) -> None:
    """Apache Kafka leaves partitions like this behind when it stops."""
    image = with_topics(NewTopic("a", 1))
    gone = PartitionChangeRecord(
        partition_id=0,
        topic_id=image.topics_by_name["a"].id,
        isr=isr,
        leader=NO_LEADER,
        eligible_leader_replicas=eligible,
        last_known_elr=last_known,
    )
    partition = claimed(replayed(image, [gone])).topics_by_name["a"].partitions[0]
    assert (partition.leader, partition.isr, partition.leader_epoch) == (1, (1,), 2)
    assert (partition.eligible, partition.last_known_eligible) == ((), ())


def test_a_partition_that_others_were_in_sync_with_stays_leaderless() -> None:
    image = with_topics(NewTopic("a", assignments=[(0, [1, 2])]), image=with_brokers((1, 2)))
    gone = PartitionChangeRecord(partition_id=0, topic_id=image.topics_by_name["a"].id, isr=[2], leader=NO_LEADER)
    assert claimed(replayed(image, [gone])).topics_by_name["a"].partitions[0].leader == NO_LEADER


def test_changes_of_a_registration() -> None:
    image = with_brokers()
    epoch = image.brokers[1].epoch
    change = BrokerRegistrationChangeRecord(
        broker_id=1, broker_epoch=epoch, fenced=1, in_controlled_shutdown=1, log_dirs=[b"d" * 16]
    )
    broker = replayed(image, [change]).brokers[1]
    assert (broker.fenced, broker.in_controlled_shutdown, broker.directories) == (True, True, (b"d" * 16,))
    fenced = replayed(image, [FenceBrokerRecord(id=1, epoch=epoch)])
    assert not fenced.brokers[1].live
    assert replayed(fenced, [UnfenceBrokerRecord(id=1, epoch=epoch)]).brokers[1].live
    assert replayed(image, [UnregisterBrokerRecord(broker_id=1, broker_epoch=epoch)]).brokers == {}


def test_a_change_in_another_epoch_is_corrupt() -> None:
    with pytest.raises(CorruptData, match="not registered"):
        replayed(with_brokers(), [FenceBrokerRecord(id=1, epoch=99)])


def test_a_dump_makes_the_brokers_again() -> None:
    image = with_brokers((1, 2))
    assert replayed(EMPTY, list(brokers.dump(image))).brokers == image.brokers
