"""The quickstart's live view: what it shows and how. It asks nobody anything; `render` makes a picture of a value."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from moldau.cli.severity import CRITICAL, DEBUG, ERROR, INFO, PLAIN, SEVERITIES, WARNING

_STYLES = {CRITICAL: "bold red", ERROR: "red", WARNING: "yellow", INFO: "", DEBUG: "dim", PLAIN: "dim"}
# Lines of the screen that are not rows of the table.
_AROUND_ROWS = 22
_RATE_S = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """One source: its latest minute as text, the lines in that and all its lines, each by severity."""

    source: str
    minute: str
    in_minute: dict[str, int]
    in_all: dict[str, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything the view shows. Rates in lines a second, `lag` in lines that are read and not yet counted."""

    address: str
    topic: str
    group: str
    data_dir: str
    rows: Sequence[Row]
    lines_read: int
    read_rate: float
    count_rate: float
    lag: int
    left_out: int
    notes: Sequence[str]


class Rate:
    """How fast a number grows, over the last few seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def at(self, now_s: float, number: int) -> float:
        self._samples.append((now_s, number))
        while now_s - self._samples[0][0] > _RATE_S:
            self._samples.popleft()
        began_s, began = self._samples[0]
        return (number - began) / (now_s - began_s) if now_s > began_s else 0.0


class LiveView:
    """The view on the terminal while it is entered."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False, screen=False, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, picture: Picture) -> None:
        self._live.update(render(picture, max(3, self._console.size.height - _AROUND_ROWS)), refresh=True)


def render(picture: Picture, most_rows: int) -> RenderableType:
    """The whole view, with at most that many sources."""
    return Group(_head(picture), _sources(picture, most_rows), _next(picture))


def _head(picture: Picture) -> RenderableType:
    lines = [
        Text.assemble(("Your client connects to  ", "dim"), (picture.address, "bold green")),
        Text.assemble(
            (f"{picture.lines_read:,} lines read  ", ""),
            (f"{picture.read_rate:,.0f}/s in  {picture.count_rate:,.0f}/s counted  ", "cyan"),
            (f"lag {picture.lag:,}", "bold" if picture.lag else ""),
        ),
        *(Text(note, style="yellow") for note in picture.notes),
    ]
    if picture.left_out:
        files = "1 file" if picture.left_out == 1 else f"{picture.left_out} files"
        lines.append(Text(f"{files} left out: compressed, binary or unreadable", style="dim"))
    lines.append(Text("Lines in the source's latest minute / in all runs:", style="dim"))
    return Panel(Group(*lines), title="Moldau quickstart", title_align="left")


def _sources(picture: Picture, most_rows: int) -> RenderableType:
    """Each number as "in the latest minute / in all"; what is zero is left blank."""
    table = Table(expand=True, pad_edge=False, box=None)
    table.add_column("SOURCE", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("LATEST MINUTE", justify="right", no_wrap=True)
    for severity in SEVERITIES:
        table.add_column(severity.upper(), justify="right", style=_STYLES[severity], no_wrap=True)
    table.add_column("LINES", justify="right", no_wrap=True)
    rows = sorted(picture.rows, key=lambda row: (-sum(row.in_all.values()), row.source))
    for row in rows[:most_rows]:
        numbers = [_pair(row.in_minute.get(name, 0), row.in_all.get(name, 0)) for name in SEVERITIES]
        total = _pair(sum(row.in_minute.values()), sum(row.in_all.values()))
        table.add_row(row.source, row.minute, *numbers, total)
    if len(rows) > most_rows:
        table.add_row(f"and {len(rows) - most_rows} more")
    return table


def _pair(in_minute: int, in_all: int) -> str:
    if not in_all:
        return ""
    return f"{in_minute:,} / {in_all:,}" if in_minute else f"{in_all:,}"


def _next(picture: Picture) -> RenderableType:
    at = "" if picture.address == "127.0.0.1:9092" else f" -b {picture.address}"
    commands = [
        (f"moldau consume {picture.topic} -o -5 -f '%k %v\\n'{at}", "the lines, as they come"),
        (f"moldau group describe {picture.group}{at}", "who reads them, and how far behind"),
        (f"moldau topic describe {picture.topic}{at}", "where they lie"),
        (f"echo hello | moldau produce my-topic{at}", "lines of your own"),
        (f"kcat -b {picture.address} -t {picture.topic} -C -o -5", "any other Kafka client"),
        (f"moldau serve --data-dir {picture.data_dir}", "the same data, when this has ended"),
    ]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(style="dim")
    for command, what in commands:
        table.add_row(Text(command), what)
    return Panel(table, title="Try in another terminal; Ctrl-C ends", title_align="left")
