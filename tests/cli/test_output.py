"""Tables, JSON, one object a line, names; and asking before what cannot be undone."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
import pytest

from moldau.cli.errors import CliError, Exit
from moldau.cli.output import confirm, emit_object, emit_rows, message, table

ROWS: list[dict[str, Any]] = [
    {"name": "a", "size": 1, "internal": False, "on": [1, 2]},
    {"name": "long-name", "size": None, "internal": True, "on": []},
]


def test_table_is_aligned_with_numbers_to_the_right() -> None:
    assert table(("name", "size", "internal", "on"), ROWS) == [
        "NAME       SIZE  INTERNAL  ON",
        "a             1  no        1,2",
        "long-name     -  yes       -",
    ]
    assert table(("name", "in_sync"), []) == ["NAME  IN SYNC"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("json", json.dumps(ROWS, indent=2) + "\n"),
        ("ndjson", "".join(json.dumps(row) + "\n" for row in ROWS)),
        ("name", "a\nlong-name\n"),
        ("table", "NAME       SIZE\na             1\nlong-name     -\n"),
    ],
)
def test_rows(form: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    emit_rows(form, ("name", "size"), ROWS)
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [("json", '{\n  "name": "a"\n}\n'), ("ndjson", '{"name": "a"}\n'), ("name", "a\n"), ("table", "one\ntwo\n")],
)
def test_object(form: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    emit_object(form, {"name": "a"}, lambda: ["one", "two"])
    assert capsys.readouterr().out == expected


def test_messages_are_not_data(capsys: pytest.CaptureFixture[str]) -> None:
    message("hello")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "hello\n")


def test_confirm_needs_a_yes_or_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm("Delete?", yes=True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(CliError) as refused:
        confirm("Delete?", yes=False)
    assert refused.value.code is Exit.USAGE
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked: list[str] = []
    monkeypatch.setattr(click, "confirm", lambda text, **_: asked.append(text))
    confirm("Delete?", yes=False)
    assert asked == ["Delete?"]
