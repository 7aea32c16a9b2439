"""Records as bytes."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.metadata import records
from moldau.core.metadata.creation import NewTopic
from moldau.core.metadata.loader import dump
from moldau.core.protocol.stored.metadata import FeatureLevelRecord, PartitionChangeRecord
from tests.support.images import EMPTY, replayed, with_topics


def test_bytes_are_those_of_apache_kafka() -> None:
    """From `kafka-storage format` of 4.3.1."""
    expected = b"\x01\x0c\x00\x11metadata.version\x00\x1e\x00"
    assert records.encode(FeatureLevelRecord(name="metadata.version", feature_level=30)) == expected
    assert records.decode(expected) == FeatureLevelRecord(name="metadata.version", feature_level=30)


def test_records_are_written_in_their_highest_version() -> None:
    change = PartitionChangeRecord(partition_id=1, topic_id=bytes(16), directories=[b"d" * 16], last_known_elr=[1])
    assert records.encode(change)[2] == 2
    assert records.decode(records.encode(change)) == change


def test_an_image_survives_as_bytes() -> None:
    image = with_topics(NewTopic("a", 3, configs=[("retention.ms", "1")]), NewTopic("b.c"))
    decoded = [records.decode(records.encode(record)) for record in dump(image)]
    again = replayed(EMPTY, decoded)
    assert (again.topics_by_id, again.configs, again.brokers) == (image.topics_by_id, image.configs, image.brokers)


@pytest.mark.parametrize("value", [b"", b"\x01\xff\x7f\x00", b"\x02\x0c\x00", b"\x01\x0c\x00\x11meta"])
def test_what_cannot_be_read_is_corrupt(value: bytes) -> None:
    with pytest.raises(CorruptData):
        records.decode(value)
