"""Uuids in Kafka's text form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.ids import ZERO_UUID, TopicPartition, random_uuid, uuid_from_text, uuid_text

SIXTEEN = st.binary(min_size=16, max_size=16)


@given(SIXTEEN)
def test_text_and_bytes_are_two_forms_of_one_uuid(uuid: bytes) -> None:
    text = uuid_text(uuid)
    assert len(text) == 22
    assert uuid_from_text(text) == uuid


@given(SIXTEEN)
def test_a_random_uuid_is_version_four_and_never_looks_like_a_flag(seed: bytes) -> None:
    uuid = random_uuid(seed)
    assert uuid[6] >> 4 == 4
    assert uuid[8] >> 6 == 2
    assert uuid != ZERO_UUID
    assert not uuid_text(uuid).startswith("-")


@pytest.mark.parametrize("text", ["", "abc", "A" * 21, "A" * 23, "*" * 22, "ä" * 22])
def test_anything_else_is_not_a_uuid(text: str) -> None:
    with pytest.raises(ValueError, match="not a uuid"):
        uuid_from_text(text)


def test_sixteen_bytes_it_takes() -> None:
    with pytest.raises(ValueError, match="16"):
        random_uuid(b"short")


def test_a_topic_partition_reads_as_kafka_writes_it() -> None:
    assert str(TopicPartition("orders", 3)) == "orders-3"
