"""What -o may say, and which offset it means."""

from __future__ import annotations

from datetime import datetime

import pytest

from moldau.cli.start import From, Start, parse_start


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("start", Start(From.START)),
        ("earliest", Start(From.START)),
        ("end", Start(From.END)),
        ("latest", Start(From.END)),
        ("-10", Start(From.BEFORE_END, 10)),
        ("0", Start(From.OFFSET, 0)),
        ("123", Start(From.OFFSET, 123)),
        ("@1700000000000", Start(From.TIME, 1700000000000)),
        ("@2023-11-14T22:13:20+00:00", Start(From.TIME, 1700000000000)),
        ("@2023-11-14T22:13:20Z", Start(From.TIME, 1700000000000)),
        ("@2023-11-14", Start(From.TIME, int(datetime(2023, 11, 14).timestamp() * 1000))),
    ],
)
def test_parse(text: str, start: Start) -> None:
    assert parse_start(text) == start


@pytest.mark.parametrize("text", ["", "-", "+1", "1.5", "first", "@", "@yesterday", "--1", "²"])
def test_what_it_cannot_be(text: str) -> None:
    with pytest.raises(ValueError):
        parse_start(text)


@pytest.mark.parametrize(
    ("start", "offset"),
    [
        (Start(From.START), 5),
        (Start(From.END), 20),
        (Start(From.BEFORE_END, 3), 17),
        (Start(From.BEFORE_END, 100), 5),
        (Start(From.OFFSET, 12), 12),
        (Start(From.OFFSET, 0), 5),
        (Start(From.OFFSET, 99), 20),
    ],
)
def test_offset_in_a_partition(start: Start, offset: int) -> None:
    assert start.offset(5, 20) == offset
