"""Lines and JSON objects as records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from moldau.cli.errors import CliError, Exit
from moldau.cli.writing import Shape, Writer
from moldau.client.errors import NotFound
from tests.support.fake_client import FakeConnection, FakeTopic, fake_connection


def connection(**given: Any) -> FakeConnection:
    return fake_connection(FakeTopic(partitions={0: [], 1: []}), **given)


def written(lines: list[bytes], **shape: Any) -> list[tuple[bytes | None, bytes | None, int, Any]]:
    made = connection()
    writer = Writer(made, "topic", Shape(**shape))
    writer.write(lines)
    writer.flush()
    assert (writer.records, writer.bytes) == (
        len(lines),
        sum(len(item[2] or b"") for item in made.producers[0].produced),
    )
    return [(key, value, partition, headers) for _, key, value, partition, headers in made.producers[0].produced]


def test_lines() -> None:
    assert written([b"a", b"", b"c"]) == [(None, b"a", -1, None), (None, b"", -1, None), (None, b"c", -1, None)]


def test_key_headers_and_partition_of_every_record() -> None:
    assert written([b"a"], key="k", headers=(("h", "v"),), partition=1) == [(b"k", b"a", 1, [("h", "v")])]


def test_key_separator_and_tombstones() -> None:
    assert written([b"k:v:w", b"k:"], key_separator=":") == [(b"k", b"v:w", -1, None), (b"k", b"", -1, None)]
    assert written([b"k:"], key_separator=":", tombstones=True) == [(b"k", None, -1, None)]


def test_a_line_without_the_separator_is_named() -> None:
    with pytest.raises(CliError, match="line 2 has no ':'") as error:
        written([b"k:v", b"v"], key_separator=":")
    assert error.value.code is Exit.USAGE


def test_what_consume_writes_as_json_is_read_again() -> None:
    lines = [
        {
            "topic": "t",
            "key": "k",
            "value": "v",
            "headers": [{"key": "a", "value": "1"}, {"key": "b", "value_base64": "/w=="}],
        },
        {"key": None, "value_base64": "/w=="},
        {"value": {"nested": [1]}},
    ]
    assert written([json.dumps(line).encode() for line in lines], form="ndjson") == [
        (b"k", b"v", -1, [("a", b"1"), ("b", b"\xff")]),
        (None, b"\xff", -1, None),
        (None, b'{"nested":[1]}', -1, None),
    ]


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b'{"headers": [1]}', b'{"headers": [{}]}', b'{"value_base64": "x"}']
)
def test_what_is_no_record_is_named(line: bytes) -> None:
    with pytest.raises(CliError, match="line 1 is not a record"):
        written([line], form="ndjson")


def test_a_full_queue_waits() -> None:
    made = connection(room=2)
    writer = Writer(made, "topic", Shape())
    writer.write([b"%d" % number for number in range(7)])
    assert len(made.producers[0].produced) == 7


def test_a_refused_record_is_an_error() -> None:
    made = connection()
    writer = Writer(made, "topic", Shape())
    made.producers[0].refuse = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    with pytest.raises(KafkaException):
        writer.write([b"a"])
    with pytest.raises(KafkaException):
        writer.flush()


def test_topics_and_partitions_are_checked_first() -> None:
    with pytest.raises(NotFound, match="no partition 5, only 0 to 1"):
        Writer(connection(), "topic", Shape(partition=5))
    with pytest.raises(KafkaException):
        Writer(connection(writable=False), "topic", Shape())


def test_settings_of_the_producer() -> None:
    made = connection()
    Writer(made, "topic", Shape(acks="1", compression="zstd"))
    settings = made.producers[0].settings
    assert (settings["acks"], settings["enable.idempotence"], settings["compression.type"]) == ("1", False, "zstd")
