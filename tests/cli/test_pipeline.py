"""Lines into a topic and through a group, counted once; against a topic in memory, which two members read twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from moldau.cli import pipeline
from moldau.cli.errors import CliError
from moldau.cli.follow import HEADER, Chunk, position_header
from moldau.cli.pipeline import STATE_NAME, Pipeline
from moldau.client.admin import Key
from tests.support.fake_client import FakeConnection, FakeTopic, fake_connection
from tests.support.fake_cluster import FakeCluster

Make = Callable[[], Pipeline]


class TopicCluster(FakeCluster):
    """A cluster whose ends are those of the topic in memory."""

    topic: FakeTopic

    def offsets(self, partitions: Iterable[Key], *, latest: bool) -> dict[Key, int]:
        return {key: self.topic.bounds(key[1])[latest] for key in partitions}


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> FakeConnection:
    topic = FakeTopic("logs", {number: [] for number in range(pipeline.PARTITIONS)})
    cluster = TopicCluster()
    cluster.topic = topic
    monkeypatch.setattr(pipeline, "Cluster", cluster)
    monkeypatch.setattr(pipeline, "_POLL_S", 0.001)
    return fake_connection(topic)


@pytest.fixture
def make(connection: FakeConnection, tmp_path: Path) -> Make:
    return lambda: Pipeline(connection, "logs", tmp_path)


def chunk(key: str, *texts: bytes, at: int = 0) -> Chunk:
    lines = []
    for text in texts:
        lines.append((text, at, at + len(text) + 1))
        at += len(text) + 1
    return Chunk(key, f"1-{key}-1-0", lines)


def test_every_line_is_counted_once_though_two_members_read_it(make: Make) -> None:
    made = make()
    made.start()
    made.feed([chunk("/a", b"ERROR x", b"y"), chunk("/b", b"WARN z")])
    assert made.drain()
    made.close()
    assert made.progress.read == {"/a": 2, "/b": 1}
    assert made.counts.run == {"/a": {"error": 1, "plain": 1}, "/b": {"warning": 1}}
    assert (made.counts.counted, made.lag()) == (3, 0)


def test_a_second_run_goes_on(make: Make, tmp_path: Path) -> None:
    first = make()
    first.start()
    first.feed([chunk("/a", b"one", b"two")])
    assert first.drain()
    first.close()
    second = make()
    assert second.progress.backlog == 0
    assert {name: position.end for name, position in second.positions.items()} == {"1-/a-1-0": 8}
    second.start()
    second.feed([chunk("/a", b"three", at=8)])
    assert second.drain()
    second.close()
    assert (second.progress.lines_read, second.counts.counted, second.counts.caught_up) == (1, 1, 0)
    assert second.counts.totals == {"/a": {"plain": 3}}
    assert json.loads((tmp_path / STATE_NAME).read_bytes())["topic_id"] == "id-of-logs"


def test_what_a_killed_run_left_is_found_and_counted(make: Make) -> None:
    killed = make()
    killed.feed([chunk("/a", b"one", b"two")])  # produced, never counted, nothing saved
    made = make()
    assert made.progress.backlog == 2
    assert {name: position.end for name, position in made.positions.items()} == {"1-/a-1-0": 8}
    made.start()
    made.feed([chunk("/a", b"three", at=8)])
    assert made.drain()
    made.close()
    assert (made.counts.caught_up, made.counts.counted, made.lag()) == (2, 1, 0)


def test_a_broken_state_is_counted_again(make: Make, tmp_path: Path) -> None:
    (tmp_path / STATE_NAME).write_text("{")
    killed = make()
    killed.feed([chunk("/a", b"one")])
    made = make()
    made.start()
    assert made.drain()
    made.close()
    assert made.counts.totals == {"/a": {"plain": 1}}


def test_records_carry_their_place(make: Make, connection: FakeConnection) -> None:
    make().feed([chunk("/a", b"one", b"two")])
    assert [(key, value, headers) for _, key, value, _, headers in connection.producers[0].produced] == [
        (b"/a", b"one", [(HEADER, position_header("1-/a-1-0", 0, 4))]),
        (b"/a", b"two", [(HEADER, position_header("1-/a-1-0", 4, 8))]),
    ]
    assert connection.producers[0].settings["enable.idempotence"] is True


def test_a_full_queue_waits(make: Make, connection: FakeConnection) -> None:
    object.__setattr__(connection, "room", 2)
    made = make()
    made.feed([chunk("/a", *[b"x"] * 9)])
    assert len(connection.producers[0].produced) == 9


def test_a_line_that_cannot_be_written_ends_it(make: Make, connection: FakeConnection) -> None:
    made = make()
    connection.producers[0].refuse = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    made.feed([chunk("/a", b"x")])
    with pytest.raises(CliError, match="could not be written"):
        made.serve()


def test_what_a_member_dies_of_is_raised(
    make: Make, connection: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make()
    monkeypatch.setattr(made, "_count", _fail)
    made.feed([chunk("/a", b"x")])
    made.start()
    with pytest.raises(KafkaException):
        made.drain()
    made.close()


def _fail(_messages: Any) -> None:
    raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))


def test_members_that_stall_are_given_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_STALLED_S", 0.0)
    made = make()
    made.feed([chunk("/a", b"x")])
    assert not made.drain()


def test_names_that_are_no_text() -> None:
    assert pipeline.source_name(chunk("/a\udcff")) == "/a\\udcff"
