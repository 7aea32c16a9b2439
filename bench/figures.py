"""What is measured and what blocks: figures, their targets, and the arithmetic of rounds. No broker is touched here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from statistics import median


class Better(Enum):
    """Which direction is good."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `target` bounds the ratio moldau / peer; None: shown only."""

    name: str
    unit: str
    mode: str
    better: Better = Better.LOWER
    target: float | None = None


@dataclass(slots=True)
class Rounds:
    """The values of one figure, one per round, for both sides; and the cores each broker used meanwhile."""

    figure: Figure
    moldau: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    moldau_cores: list[float] = field(default_factory=list)
    peer_cores: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """Median of ours over median of the peer's; None when one side was not measured."""
        if not self.moldau or not self.peer or median(self.peer) == 0:
            return None
        return median(self.moldau) / median(self.peer)

    @property
    def spread(self) -> float:
        """The wider of the two sides' ranges, as a part of its median: how far the rounds were apart."""
        return max((relative_range(side) for side in (self.moldau, self.peer) if side), default=0.0)

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None when there is none or one side is missing."""
        ratio, target = self.ratio, self.figure.target
        if ratio is None or target is None:
            return None
        return ratio >= target if self.figure.better is Better.HIGHER else ratio <= target

    def as_result(self) -> dict[str, object]:
        """This figure as an entry of results.json."""
        ratio = self.ratio
        return {
            "name": self.figure.name,
            "unit": self.figure.unit,
            "mode": self.figure.mode,
            "moldau": rounded(median(self.moldau)) if self.moldau else None,
            "peer": rounded(median(self.peer)) if self.peer else None,
            "ratio": rounded(ratio) if ratio is not None else None,
            "spread": rounded(self.spread),
            "target": self.figure.target,
            "better": self.figure.better.value,
            "met": self.met,
            "cores": {
                "moldau": rounded(median(self.moldau_cores)) if self.moldau_cores else None,
                "peer": rounded(median(self.peer_cores)) if self.peer_cores else None,
            },
        }


def relative_range(values: Sequence[float]) -> float:
    """(largest - smallest) / median."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def rounded(value: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{value:.4g}")


def write_results(path: Path, rows: Sequence[Rounds]) -> None:
    """results.json: a list with one object per figure."""
    path.write_text(json.dumps([row.as_result() for row in rows], indent=2) + "\n")


def table(rows: Sequence[Rounds]) -> str:
    """The figures as aligned text."""
    head = ("figure", "unit", "mode", "moldau", "peer", "ratio", "target", "", "spread", "cores")
    body = [table_row(row.as_result()) for row in rows]
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *body)
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def table_row(result: Mapping[str, object]) -> tuple[str, ...]:
    cores = result["cores"]
    assert isinstance(cores, dict)
    target, better = result["target"], result["better"]
    bound = "" if target is None else f"{'>=' if better == 'higher' else '<='} {target}"
    verdict = {True: "ok", False: "MISS", None: ""}[result["met"]]  # type: ignore[index]
    used = " / ".join("-" if cores[side] is None else f"{cores[side]:.2f}" for side in ("moldau", "peer"))
    return (
        str(result["name"]),
        str(result["unit"]),
        str(result["mode"]),
        amount(result["moldau"]),
        amount(result["peer"]),
        amount(result["ratio"]),
        bound,
        verdict,
        f"{result['spread']:.0%}",
        used,
    )


def amount(value: object) -> str:
    if not isinstance(value, float):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
