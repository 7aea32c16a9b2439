"""`moldau produce` and `moldau consume` as commands: arguments in, bytes out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.cli.errors import Exit
from moldau.cli.main import run
from moldau.cli.records import line_batches
from moldau.client import config
from tests.support.fake_client import FakeConnection, FakeTopic, fake_connection


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> FakeConnection:
    """A broker with topic `topic`: two partitions, three records."""
    topic = FakeTopic()
    topic.add(0, b"a", headers=[("h", b"1")])
    topic.add(0, b"b")
    topic.add(1, b"\xff")
    connection = fake_connection(topic)
    monkeypatch.setattr(config.Connection, "build", lambda *_args, **_kwargs: connection)
    return connection


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Makes standard input a pipe with some content in it."""
    reader, writer = os.pipe()

    def give(content: bytes) -> None:
        os.write(writer, content)
        os.close(writer)

    with os.fdopen(reader) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        yield give


def test_produce(held: FakeConnection, type_in: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]) -> None:
    type_in(b"one\ntwo\n\nlast")
    assert run(["produce", "topic", "-k", "key", "-H", "a=b", "-p", "1"]) == Exit.OK
    assert held.producers[0].produced == [
        ("topic", b"key", line, 1, [("a", "b")]) for line in (b"one", b"two", b"", b"last")
    ]
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "4 records to topic\n")


def test_produce_sums_up_as_json(
    held: FakeConnection, type_in: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(b"one\n")
    assert run(["produce", "topic", "--output", "ndjson"]) == Exit.OK
    assert capsys.readouterr().out == '{"topic": "topic", "records": 1, "bytes": 3}\n'


def test_consume_prints_values(held: FakeConnection, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["consume", "topic", "--exit"]) == Exit.OK
    assert capsysbinary.readouterr().out == b"a\nb\n\xff\n"


def test_consume_with_a_format(held: FakeConnection, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["consume", "topic", "-o", "start", "--exit", "-f", r"%p-%o %h %v\n", "-p", "0"]) == Exit.OK
    assert capsysbinary.readouterr().out == b"0-0 h=1 a\n0-1  b\n"


@pytest.mark.parametrize("output", ["json", "ndjson"])
def test_consume_as_json(output: str, held: FakeConnection, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["consume", "topic", "-n", "1", "--output", output]) == Exit.OK
    assert '"value":"a","headers":[{"key":"h","value":"1"}]' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["produce", "topic", "-k", "a", "-K", ":"], "--key or --key-separator"),
        (["consume", "topic", "-f", "%q"], "%q is not in the format language"),
        (["consume", "topic", "-f", "%v", "--output", "json"], "--format or --output"),
        (["consume", "topic", "--output", "name"], "name is not a form of records"),
        (["consume", "topic", "-o", "x"], "'x' is not start"),
        (["consume", "topic", "-n", "0"], "-n"),
        (["consume"], "TOPIC"),
    ],
)
def test_wrong_usage(
    arguments: list[str], problem: str, held: FakeConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == Exit.USAGE
    assert problem in capsys.readouterr().err


def test_a_missing_topic_is_not_found(held: FakeConnection, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["consume", "nope", "--exit"]) == Exit.NOT_FOUND
    assert "topic nope is not there" in capsys.readouterr().err


@given(st.lists(st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"")), max_size=20), st.booleans())
def test_lines_are_lines_whatever_the_reads(lines: list[bytes], ended: bool) -> None:
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    found: list[Any] = [line for batch in line_batches(reader) for line in batch]
    os.close(reader)
    # An empty last line without a newline is no line.
    assert found == (lines if ended or (lines and lines[-1]) else lines[:-1])
