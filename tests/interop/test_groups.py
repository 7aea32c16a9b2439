"""Consumer groups of real clients: members come and go, static members return, offsets are where they were left."""

from __future__ import annotations

import uuid

import confluent_kafka
import pytest

from tests.support.members import MEMBERS, Member, shared_out, wait_until
from tests.support.process import BrokerProcess

PARTITIONS = 6


def produce(broker: BrokerProcess, topic: str, first: int, count: int) -> set[bytes]:
    """`count` values, dealt out over the partitions."""
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5})
    values = [b"value %d" % number for number in range(first, first + count)]
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % PARTITIONS)
    assert producer.flush(30) == 0
    return set(values)


def seen_by(members: list[Member]) -> set[bytes]:
    return {value for member in members for _, _, value in member.seen}


@pytest.mark.parametrize("kind", MEMBERS, ids=lambda kind: kind.name)
def test_a_group_of_three_whose_members_come_and_go(kind: type[Member], broker: BrokerProcess, new_topic) -> None:
    topic, group = new_topic(PARTITIONS), f"group-{uuid.uuid4().hex[:8]}"
    everyone: list[Member] = []
    try:
        for size in (1, 2, 3):
            everyone.append(kind(broker.bootstrap, group, topic).start())
            wait_until(f"{size} members share the topic", lambda: shared_out(everyone, PARTITIONS))
        sent = produce(broker, topic, 0, 300)
        wait_until("all records seen by three members", lambda: seen_by(everyone) == sent)
        gone = everyone[0]
        gone.stop()
        left = everyone[1:]
        wait_until("two members take over", lambda: shared_out(left, PARTITIONS))
        sent |= produce(broker, topic, 300, 300)
        wait_until("the rest seen by two members", lambda: seen_by(everyone) == sent)
    finally:
        for member in everyone:
            member.stop()
    places = [(partition, offset) for member in everyone for partition, offset, _ in member.seen]
    # Every member left in order and had committed: nobody read anything twice.
    assert len(places) == len(set(places)) == 600


@pytest.mark.parametrize("kind", MEMBERS, ids=lambda kind: kind.name)
def test_a_static_member_that_returns_gets_its_partitions_back_and_disturbs_nobody(
    kind: type[Member], broker: BrokerProcess, new_topic
) -> None:
    topic, group = new_topic(PARTITIONS), f"group-{uuid.uuid4().hex[:8]}"
    stays = kind(broker.bootstrap, group, topic, "stays").start()
    wait_until("the first member owns all", lambda: shared_out([stays], PARTITIONS))
    returns = kind(broker.bootstrap, group, topic, "returns").start()
    again = None
    try:
        wait_until("two members share the topic", lambda: shared_out([stays, returns], PARTITIONS))
        assignments, owned = stays.assignments, returns.owned
        returns.stop()
        again = kind(broker.bootstrap, group, topic, "returns").start()
        wait_until("the same instance owns the same partitions", lambda: again is not None and again.owned == owned)
        sent = produce(broker, topic, 0, 60)
        wait_until("all records seen", lambda: seen_by([stays, again]) == sent)
        assert stays.assignments == assignments
    finally:
        for member in (stays, again):
            if member is not None:
                member.stop()


def test_a_second_consumer_with_a_taken_instance_id_fences_the_first(broker: BrokerProcess, new_topic) -> None:
    topic, group = new_topic(), f"group-{uuid.uuid4().hex[:8]}"
    settings = {
        "bootstrap.servers": broker.bootstrap,
        "group.id": group,
        "group.instance.id": "one",
        "heartbeat.interval.ms": 200,
        "session.timeout.ms": 6000,
    }
    first, second = confluent_kafka.Consumer(settings), confluent_kafka.Consumer(settings)
    errors: list[int] = []

    def poll(consumer: confluent_kafka.Consumer) -> None:
        message = consumer.poll(0.05)
        if message is not None and message.error() is not None:
            errors.append(message.error().code())

    first.subscribe([topic])
    wait_until("the first owns the partition", lambda: poll(first) or bool(first.assignment()))
    second.subscribe([topic])
    fenced = confluent_kafka.KafkaError.FENCED_INSTANCE_ID, confluent_kafka.KafkaError._FATAL
    try:
        wait_until("the first is fenced", lambda: poll(second) or poll(first) or any(code in fenced for code in errors))
        wait_until("the second owns the partition", lambda: poll(second) or bool(second.assignment()))
    finally:
        first.close()
        second.close()


def test_a_group_goes_on_from_its_committed_offsets(broker: BrokerProcess, new_topic) -> None:
    topic, group = new_topic(PARTITIONS), f"group-{uuid.uuid4().hex[:8]}"
    first = MEMBERS[0](broker.bootstrap, group, topic).start()
    sent = produce(broker, topic, 0, 120)
    wait_until("all seen", lambda: seen_by([first]) == sent)
    first.stop()
    more = produce(broker, topic, 120, 120)
    second = MEMBERS[2](broker.bootstrap, group, topic).start()
    try:
        wait_until("the new ones seen by another client of the group", lambda: seen_by([second]) >= more)
        assert seen_by([second]) == more
    finally:
        second.stop()
