"""What `consume` reads, from where, until when."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from moldau.cli.errors import CliError, Exit
from moldau.cli.reading import Reader
from moldau.client.errors import NotFound
from tests.support.fake_client import FakeConnection, FakeMessage, FakeTopic, fake_connection


def topic(*sizes: int) -> FakeTopic:
    made = FakeTopic()
    for partition, size in enumerate(sizes):
        made.partitions[partition] = []
        for number in range(size):
            made.add(partition, b"%d-%d" % (partition, number), timestamp=1000 * number)
    return made


def read(connection: FakeConnection, **given: Any) -> list[bytes | None]:
    options: dict[str, Any] = {"start": "start", "stop": True, "count": None, "group": None, "partitions": ()}
    values: list[bytes | None] = []
    with Reader(connection, ["topic"], **{**options, **given}) as reader:
        for batch in reader.batches():
            values += [message.value() for message in batch]
            reader.done(batch)
    assert connection.consumers[0].closed
    return values


def test_exit_ends_at_the_ends_it_found() -> None:
    held = topic(3, 0, 2)
    late = iter(range(1000))
    connection = fake_connection(held, grow=lambda: held.add(0, b"late %d" % next(late)))
    assert sorted(read(connection)) == [b"0-0", b"0-1", b"0-2", b"2-0", b"2-1"]  # type: ignore[type-var]


def test_nothing_there_is_over_at_once() -> None:
    assert read(fake_connection(topic(0, 0))) == []


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("-1", [b"0-3", b"1-1"]),
        ("2", [b"0-2", b"0-3"]),
        ("end", []),
        ("@2000", [b"0-2", b"0-3"]),
        ("@99000", []),
    ],
)
def test_where_it_begins(start: str, expected: list[bytes]) -> None:
    assert read(fake_connection(topic(4, 2)), start=start) == expected


def test_a_count_ends_it_and_takes_no_more() -> None:
    assert read(fake_connection(topic(5)), count=3, stop=False) == [b"0-0", b"0-1", b"0-2"]
    assert read(fake_connection(topic(2)), count=9) == [b"0-0", b"0-1"]


def test_partitions_may_be_chosen() -> None:
    assert read(fake_connection(topic(1, 1, 1)), partitions=(1,)) == [b"1-0"]
    with pytest.raises(NotFound, match="no partition 7, only 0 to 2"):
        read(fake_connection(topic(1, 1, 1)), partitions=(7,))


def test_a_group_stores_what_was_written_out() -> None:
    connection = fake_connection(topic(3, 1))
    assert len(read(connection, group="g")) == 4
    consumer = connection.consumers[0]
    assert consumer.settings["group.id"] == "g"
    assert consumer.settings["enable.auto.offset.store"] is False
    assert {(at.partition, at.offset) for at in consumer.stored} == {(0, 3), (1, 1)}


def test_without_a_group_nothing_is_stored() -> None:
    connection = fake_connection(topic(1))
    read(connection)
    assert connection.consumers[0].stored == []
    assert connection.consumers[0].settings["enable.auto.commit"] is False


def test_a_group_begins_where_it_is_told_without_a_commit() -> None:
    connection = fake_connection(topic(1))
    read(connection, group="g", start="end")
    assert connection.consumers[0].settings["auto.offset.reset"] == "latest"


@pytest.mark.parametrize("given", [{"start": "5"}, {"start": "-5"}, {"start": "@5"}, {"partitions": (0,)}])
def test_what_a_group_cannot_do(given: dict[str, Any]) -> None:
    with pytest.raises(CliError) as error:
        Reader(
            fake_connection(topic(1)),
            ["topic"],
            **{"start": "start", "stop": True, "count": None, "partitions": (), **given, "group": "g"},
        )
    assert error.value.code is Exit.USAGE


def test_a_start_that_cannot_be_is_a_usage_error() -> None:
    with pytest.raises(CliError) as error:
        read(fake_connection(topic(1)), start="yesterday")
    assert error.value.code is Exit.USAGE


def test_a_missing_topic() -> None:
    connection = fake_connection(FakeTopic(name="other"))
    with pytest.raises(NotFound, match="topic topic is not there"):
        read(connection)


def test_an_error_of_a_partition_ends_it() -> None:
    held = topic(1)
    held.partitions[0].append(
        FakeMessage(None, partition=0, offset=1, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    )
    with pytest.raises(KafkaException):
        read(fake_connection(held))
