"""Topics made and deleted over the wire, and awaited until they are served."""

from __future__ import annotations

import time

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

PATIENCE_S = 30.0


def make_topic(bootstrap: str, name: str, partitions: int = 1, configs: dict[str, str] | None = None) -> None:
    """Create a topic and wait until every partition is served. Raises KafkaException when it is refused."""
    admin = admin_client(bootstrap)
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=configs or {})
    admin.create_topics([topic])[name].result(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    # Apache Kafka names the leader before that broker accepts the part; an offset look-up tells.
    while True:
        try:
            end_offsets(bootstrap, name, partitions)
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def delete_topic(bootstrap: str, name: str) -> None:
    admin = admin_client(bootstrap)
    admin.delete_topics([name])[name].result(PATIENCE_S)


def end_offsets(bootstrap: str, topic: str, partitions: int) -> list[int]:
    """The end offset of each partition. Raises KafkaException while one is not served."""
    admin = admin_client(bootstrap)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, partition): latest for partition in range(partitions)}
    answers = admin.list_offsets(asked, request_timeout=PATIENCE_S)
    found = {partition.partition: answer.result().offset for partition, answer in answers.items()}
    return [found[partition] for partition in range(partitions)]


def admin_client(bootstrap: str) -> AdminClient:
    """A client for one call: one that lives on would talk, and complain, while a test has its broker down."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
