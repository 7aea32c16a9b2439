"""`moldau quickstart`: a broker, this machine's log files, and a group that counts their lines. The wiring only.

`child` runs the broker, `follow` reads the files, `pipeline` carries and counts, `live` shows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from moldau.cli.data_dir import data_dir_option, default_data_dir
from moldau.cli.errors import Exit
from moldau.cli.interrupts import interrupted_by_signals
from moldau.cli.options import output_option
from moldau.cli.output import emit_object, message, table
from moldau.cli.severity import SEVERITIES

if TYPE_CHECKING:
    from moldau.cli.child import BrokerChild
    from moldau.cli.follow import Follower
    from moldau.cli.live import Picture
    from moldau.cli.pipeline import Pipeline

DEFAULT_FOLDER = "/var/log"
TOPIC = "logs"

_IDLE_S = 0.1
_SHOW_EVERY_S = 0.25


@dataclass(slots=True)
class Run:
    """One run of the quickstart, wired up."""

    address: str
    data_dir: Path
    follower: Follower
    pipeline: Pipeline
    broker: BrokerChild | None
    began_s: float

    def step(self, shown: Callable[[], None] = lambda: None) -> bool:
        """Carry what is new; whether there was something."""
        chunks = self.follower.poll(time.time_ns() // 1_000_000)
        for chunk in chunks:
            self.pipeline.feed([chunk])
            shown()
        self.pipeline.serve()
        if self.broker is not None:
            self.broker.check()
        return bool(chunks)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", metavar="[PATH...]", nargs=-1, type=click.Path(exists=True))
@data_dir_option
@click.option("--once", is_flag=True, help="End when every line that is there now is through, and sum up.")
@click.option("-b", "--bootstrap", metavar="HOST:PORT", help="Use this Kafka instead of starting a broker.")
@click.option("--topic", default=TOPIC, show_default=True, help="Where the lines go.")
@output_option
def quickstart(
    paths: tuple[str, ...], data_dir: str | None, once: bool, bootstrap: str | None, topic: str, output: str
) -> int:
    """See it work: start a broker, follow log files into a topic, count their lines live.

    PATH are files or folders; without any, the readable text files under /var/log and the broker's own log. Each
    file's lines keep their order (the file is the key) and know their place in it, so that a second run goes on where
    the first one stopped, even after a kill. A consumer group of two counts them by source, severity and minute.

    Without a terminal it ends by itself, as with --once. Its exit code is 6 if lines read and lines counted differ.

    \b
    Examples:
      moldau quickstart
      moldau quickstart --once --output json /var/log/dpkg.log
    """
    place = Path(data_dir or default_data_dir()).absolute()
    live = sys.stdout.isatty() and not once and output == "table"
    with interrupted_by_signals(), _broker(place, bootstrap) as (broker, address):
        run = _wired(paths, place, topic, broker, address, once=not live)
        try:
            if live:
                _watch(run)
            else:
                while run.step():
                    pass
            drained = run.pipeline.drain()
        finally:
            run.pipeline.close()
            run.follower.close()
        summary = summarize(run)
        emit_object(output, summary, lambda: _page(summary))
        _say_what_is_left(run, once=not live)
    return Exit.OK if drained and summary["lines_read"] == summary["lines_counted"] else Exit.CHECK_FAILED


def summarize(run: Run) -> dict[str, Any]:
    """This run in numbers, as `--output json` shows it."""
    counts, read = run.pipeline.counts, run.pipeline.progress.read
    return {
        "topic": run.pipeline.topic,
        "bootstrap": run.address,
        "data_dir": str(run.data_dir),
        "lines_read": sum(read.values()),
        "lines_counted": counts.counted,
        "caught_up": counts.caught_up,
        "repeated": counts.repeated,
        "seconds": round(time.monotonic() - run.began_s, 3),
        "sources": {
            source: {
                "read": read.get(source, 0),
                "counted": sum(counts.run.get(source, {}).values()),
                "severities": counts.run.get(source, {}),
            }
            for source in sorted(set(read) | set(counts.run))
        },
        "left_out": dict(sorted(run.follower.left_out.items())),
    }


def _wired(
    paths: Sequence[str], data_dir: Path, topic: str, broker: BrokerChild | None, address: str, *, once: bool
) -> Run:
    from moldau.cli.child import LOG_NAME
    from moldau.cli.follow import Follower, OsLogFiles
    from moldau.cli.pipeline import Pipeline
    from moldau.client.config import Connection

    began_s = time.monotonic()
    data_dir.mkdir(parents=True, exist_ok=True)
    pipeline = Pipeline(Connection.build(address, address), topic, data_dir)
    chosen = [Path(path).absolute() for path in paths]
    named = [str(path) for path in chosen if not path.is_dir()]
    folders = [str(path) for path in chosen if path.is_dir()]
    if not paths:
        folders = [DEFAULT_FOLDER]
        named = [str(data_dir / LOG_NAME)] if broker is not None else []
    follower = Follower(OsLogFiles(), named, folders, pipeline.positions, once=once, without=[f"{data_dir}/"])
    pipeline.start()
    return Run(address, data_dir, follower, pipeline, broker, began_s)


@contextmanager
def _broker(data_dir: Path, bootstrap: str | None) -> Iterator[tuple[BrokerChild | None, str]]:
    if bootstrap is not None:
        yield None, bootstrap
        return
    from moldau.cli.child import PORT, BrokerChild

    broker = BrokerChild.start(data_dir)
    if broker.moved:
        message(f"Port {PORT} is taken: the broker is at {broker.address}.")
    try:
        yield broker, broker.address
    finally:
        broker.stop()


def _watch(run: Run) -> None:
    """Follow and show until Ctrl-C."""
    from moldau.cli.live import LiveView, Rate

    read_rate, count_rate = Rate(), Rate()
    due = 0.0
    with LiveView() as view:

        def show() -> None:
            nonlocal due
            now = time.monotonic()
            if now >= due:
                due = now + _SHOW_EVERY_S
                view.show(_picture(run, read_rate, count_rate, now))

        try:
            while True:
                if not run.step(show):
                    time.sleep(_IDLE_S)
                show()
        except KeyboardInterrupt:
            run.pipeline.flush()


def _picture(run: Run, read_rate: Any, count_rate: Any, now: float) -> Picture:
    from moldau.cli.live import Picture, Row
    from moldau.cli.pipeline import GROUP

    pipeline, counts = run.pipeline, run.pipeline.counts
    read = pipeline.progress.lines_read
    with pipeline.lock:
        rows = [
            Row(source, _clock(minute), dict(in_minute), dict(counts.totals[source]))
            for source, minute, in_minute in counts.latest_minutes()
        ]
        counted = counts.counted + counts.caught_up
    moved = run.broker is not None and run.broker.moved
    return Picture(
        address=run.address,
        topic=pipeline.topic,
        group=GROUP,
        data_dir=str(run.data_dir),
        rows=rows,
        lines_read=read,
        read_rate=read_rate.at(now, read),
        count_rate=count_rate.at(now, counted),
        lag=pipeline.lag(),
        left_out=len(run.follower.left_out),
        notes=["The usual port was taken: mind the address."] if moved else [],
    )


def _clock(minute: int) -> str:
    return time.strftime("%m-%d %H:%M", time.localtime(minute * 60))


def _page(summary: dict[str, Any]) -> Iterator[str]:
    sources = summary["sources"]
    shown = [severity for severity in SEVERITIES if any(severity in found["severities"] for found in sources.values())]
    rows = [
        {"source": source, "read": found["read"], **{name: found["severities"].get(name, 0) for name in shown}}
        for source, found in sources.items()
    ]
    yield from table(("source", "read", *shown), rows)
    yield ""
    yield f"{summary['lines_read']} lines read, {summary['lines_counted']} counted, in {summary['seconds']} s"
    if summary["caught_up"]:
        yield f"{summary['caught_up']} lines of an earlier run counted as well"
    for path, reason in summary["left_out"].items():
        yield f"left out: {path} ({reason})"


def _say_what_is_left(run: Run, *, once: bool) -> None:
    if run.broker is None:
        return
    message(f"The lines are in topic {run.pipeline.topic}. To serve them again:")
    message(f"  moldau serve --data-dir {run.data_dir}")
    message(f"  moldau consume {run.pipeline.topic} -o -10")
    if once:
        message("Run the quickstart in a terminal to see it live.")
