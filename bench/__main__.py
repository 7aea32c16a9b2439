"""`python -m bench [row...]`: both brokers in one run, interleaved rounds, a table and bench/results.json.

Ends with 1 when a blocking figure is missed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.figures import Rounds, table, write_results
from bench.rows import Row, Scale, all_rows
from bench.sides import ClientFailed, Side
from tests.support import peer

RESULTS = Path(__file__).parent / "results.json"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    rows = [row for row in all_rows() if not options.rows or any(part in row.name for part in options.rows)]
    if options.list:
        print("\n".join(row.name for row in rows))
        return 0
    names = options.sides.split(",")
    if "peer" in names and (lacking := peer.missing()) is not None:
        print(f"bench: the peer cannot run here: {lacking}", file=sys.stderr)
        return 2
    scale = Scale.quick() if options.quick else Scale()
    scale = replace(scale, **{key: getattr(options, key) for key in ("rounds", "seconds") if getattr(options, key)})
    directory = Path(tempfile.mkdtemp(prefix="moldau-bench-", dir=options.directory))
    try:
        measured, failed = run(rows, names, scale, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(table(measured))
    print("\nmode: what acks=all means. page-cache: written; synced: on disk (the peer then has flush.messages=1).")
    print("cores: CPU of the broker process over time, moldau / peer. spread: widest range of rounds over its median.")
    if not options.rows or options.output != RESULTS:
        write_results(options.output, measured)
        print(f"written: {options.output}")
    missed = [row.figure.name for row in measured if row.met is False]
    if missed:
        print(f"MISSED: {'; '.join(missed)}")
    if failed:
        print(f"NOT MEASURED: {'; '.join(failed)}")
    return 1 if missed or failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", help="rows to run, by parts of their names (all; then results.json is kept)")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--quick", action="store_true", help="short rounds: to try the harness, not to compare")
    parser.add_argument("--rounds", type=int, help="interleaved rounds per row")
    parser.add_argument("--seconds", type=float, help="length of a round of small requests")
    parser.add_argument("--sides", default="moldau,peer", help="moldau,peer or one of them")
    parser.add_argument("--directory", help="where the brokers' data goes (default: the temporary folder)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    return parser.parse_args(arguments)


def run(rows: Sequence[Row], names: Sequence[str], scale: Scale, directory: Path) -> tuple[list[Rounds], list[str]]:
    """All rows, one after the other; the brokers of most rows stay up. The figures, and the rows that had none."""
    measured: list[Rounds] = []
    failed: list[str] = []
    shared: list[Side] = []
    try:
        for row in rows:
            if row.own_brokers:
                sides = [Side(name, directory / row.name) for name in names]
            else:
                shared = shared or started(names, directory / "shared")
                sides = shared
            try:
                measured += run_row(row, sides, scale)
            except ClientFailed as error:
                say(f"{row.name}: {error}")
                failed.append(row.name)
    finally:
        for side in shared:
            side.close()
    return measured, failed


def started(names: Sequence[str], directory: Path) -> list[Side]:
    sides = [Side(name, directory) for name in names]
    for side in sides:
        side.broker.start()
    return sides


def run_row(row: Row, sides: Sequence[Side], scale: Scale) -> list[Rounds]:
    """Warm up every side on this row, then A B A B ..."""
    rounds = {figure: Rounds(figure) for figure in row.figures}
    for side in sides:
        say(f"{row.name}: warming up {side.name}")
        row.warm_up(side, scale)
    for number in range(scale.rounds):
        for side in sides:
            got = row.measure(side, scale, number)
            for figure, value in got.values.items():
                getattr(rounds[figure], side.name).append(value)
                getattr(rounds[figure], f"{side.name}_cores").append(got.usage.cores)
            figures = ", ".join(f"{value:,.4g} {figure.unit}" for figure, value in got.values.items())
            say(f"{row.name}: round {number + 1}/{scale.rounds} {side.name}: {figures}")
    return list(rounds.values())


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
