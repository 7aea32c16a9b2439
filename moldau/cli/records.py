"""`moldau produce` and `moldau consume`: lines and records in bulk between the shell and a topic.

Both loops handle whole batches and do nothing per record but what was asked for. How a record is shown is
`format`'s, where reading starts is `start`'s, what is read until when is `reading`'s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from moldau.cli.errors import CliError, Exit
from moldau.cli.interrupts import interrupted_by_signals
from moldau.cli.options import KEY_VALUE, client_overrides, connection_options, output_option
from moldau.cli.output import emit_object, message
from moldau.client.config import Connection

_CHUNK = 1 << 20
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("topic")
@click.option("-k", "--key", help="The key of every record.")
@click.option("-K", "--key-separator", metavar="TEXT", help="Each line is KEY TEXT VALUE.")
@click.option(
    "-H", "--header", "headers", type=KEY_VALUE, multiple=True, help="A header of every record; may be repeated."
)
@click.option("-p", "--partition", type=click.IntRange(min=0), help="The partition; else by key, or spread.")
@click.option("-z", "--compression", type=click.Choice(_CODECS), help="The codec of the batches.")
@click.option(
    "--acks",
    type=click.Choice(["0", "1", "all"]),
    default="all",
    show_default=True,
    help="When a record counts as written.",
)
@click.option(
    "-Z", "--tombstones", is_flag=True, help="An empty value is null, which deletes its key in a compacted topic."
)
@click.option(
    "-i",
    "--input",
    "form",
    type=click.Choice(["lines", "ndjson"]),
    default="lines",
    show_default=True,
    help="ndjson is what `consume --output ndjson` writes; key, value and headers are taken from it.",
)
@client_overrides
@connection_options
@output_option
def produce(connection: Connection, output: str, topic: str, **given: Any) -> None:
    """Write the lines of standard input to TOPIC, one record each.

    \b
    Examples:
      moldau produce events < events.txt
      printf 'k1:first\\nk2:second\\n' | moldau produce events -K :
    """
    from moldau.cli.writing import Shape, Writer

    if given["key"] is not None and given["key_separator"] is not None:
        raise CliError("give --key or --key-separator, not both", code=Exit.USAGE)
    if sys.stdin.isatty():
        message(f"Each line becomes a record in {topic}. Ctrl-D ends.")
    writer = Writer(connection, topic, Shape(**given))
    try:
        for lines in line_batches(sys.stdin.fileno()):
            writer.write(lines)
    finally:
        writer.flush()
    summary = {"topic": topic, "records": writer.records, "bytes": writer.bytes}
    if output == "table":
        message(f"{writer.records} {'record' if writer.records == 1 else 'records'} to {topic}")
    else:
        emit_object(output, summary, list)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("topics", metavar="TOPIC...", nargs=-1, required=True)
@click.option(
    "-o",
    "--offset",
    "start",
    default="start",
    show_default=True,
    metavar="WHERE",
    help="Where to begin: start, end, -N (the last N of each partition), an offset, or @TIME (ms or ISO-8601).",
)
@click.option("--exit", "stop", is_flag=True, help="End at the offsets that were the ends when it began.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after this many records.")
@click.option(
    "-g", "--group", help="Read as a member of this group and commit. -o is then for partitions without a commit."
)
@click.option(
    "-f", "--format", "form", metavar="FORMAT", help=r"How to print a record, such as '%t %p %o %k %v\n' (see below)."
)
@click.option(
    "-p",
    "--partition",
    "partitions",
    type=click.IntRange(min=0),
    multiple=True,
    help="Only this partition; may be repeated.",
)
@client_overrides
@connection_options
@output_option
def consume(connection: Connection, output: str, topics: tuple[str, ...], form: str | None, **given: Any) -> None:
    r"""Print the records of TOPIC, and go on with what arrives, until Ctrl-C, --exit or -n.

    \b
    The format language:
      %t topic      %p partition   %o offset      %T timestamp, ms   %h headers
      %k key        %v value       %K key length  %V value length    %% percent
      \n \t \r \0 \\ \xHH

    \b
    Examples:
      moldau consume events -o start --exit -f '%p %o %k %v\n'
      moldau consume events -o -10 -n 10
      moldau consume events -g billing --output ndjson
    """
    from moldau.cli.reading import Reader

    if form is not None and output != "table":
        raise CliError("give --format or --output, not both", code=Exit.USAGE)
    sink = _sink(output, form)
    reader = Reader(connection, topics, **given)
    with interrupted_by_signals(), reader:
        for batch in reader.batches():
            sink.write(batch)
            # Written before the offsets are stored: a record is committed only when it is out.
            reader.done(batch)
    sink.close()


def line_batches(descriptor: int) -> Iterator[list[bytes]]:
    """Whole lines, without their ends, as soon as they are there. The last one need not end in a newline."""
    rest = b""
    while chunk := os.read(descriptor, _CHUNK):
        lines = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
        rest = lines.pop()
        if lines:
            yield lines
    if rest:
        yield [rest]


def _sink(output: str, form: str | None) -> Any:
    from moldau.cli import sinks

    if output == "name":
        raise CliError("name is not a form of records", code=Exit.USAGE)
    if output == "table":
        try:
            return sinks.FormatSink(sys.stdout.buffer, form if form is not None else r"%v\n")
        except ValueError as error:
            raise CliError(str(error), code=Exit.USAGE, hint="`moldau consume --help` lists the language") from None
    return sinks.JsonSink(sys.stdout.buffer, as_list=output == "json")
