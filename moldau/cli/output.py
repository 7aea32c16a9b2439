"""Data to stdout in the format that was asked for, messages to stderr.

Tables are plain aligned text, the same on a terminal and in a pipe, so that nothing has to be imported for
them. `json` is one document, `ndjson` one object a line, `name` the first column alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from moldau.cli.errors import CliError, Exit

FORMATS = ("table", "json", "ndjson", "name")

Row = Mapping[str, Any]


def message(text: str) -> None:
    """A word to the person, never part of the data."""
    click.echo(text, err=True)


def emit_rows(form: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Many of a kind. `columns` are the keys shown in a table, in order; json and ndjson show every key."""
    if form == "json":
        click.echo(json.dumps(list(rows), indent=2))
    elif form == "ndjson":
        for row in rows:
            click.echo(json.dumps(row))
    elif form == "name":
        for row in rows:
            click.echo(_cell(row[columns[0]]))
    else:
        for line in table(columns, rows):
            click.echo(line)


def emit_object(form: str, item: Row, text: Callable[[], Iterable[str]]) -> None:
    """One thing. `text` makes the lines of its table form."""
    if form == "json":
        click.echo(json.dumps(item, indent=2))
    elif form == "ndjson":
        click.echo(json.dumps(item))
    elif form == "name":
        click.echo(_cell(next(iter(item.values()))))
    else:
        for line in text():
            click.echo(line)


def table(columns: Sequence[str], rows: Iterable[Row]) -> list[str]:
    """Aligned lines with a head; numbers to the right."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(line[i]) for line in cells)]) for i, column in enumerate(columns)]
    right = [bool(cells) and all(_is_number(line[i]) for line in cells) for i in range(len(columns))]
    head = [column.replace("_", " ").upper() for column in columns]
    return [_aligned(line, widths, right) for line in [head, *cells]]


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone. Raises CliError without a yes and without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CliError(f"{question} Refused: nobody to ask.", hint="say --yes", code=Exit.USAGE)
    click.confirm(question, abort=True, err=True)


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(parts).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "-"
    return str(value)


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.lstrip("-").isdigit()
