"""The arithmetic of the benchmark: medians, ratios, targets, and what is written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.figures import Better, Figure, Rounds, rounded, table, write_results
from bench.rows import all_rows

RATE = Figure("rate", "requests/s", "synced", Better.HIGHER, 1.5)
LATENCY = Figure("p50", "us", "page-cache", Better.LOWER, 0.8)


@pytest.mark.parametrize(
    ("figure", "moldau", "peer", "met"),
    [
        (RATE, [160.0, 150.0, 1.0], [100.0, 100.0, 100.0], True),
        (RATE, [149.0, 149.0, 900.0], [100.0, 100.0, 100.0], False),
        (LATENCY, [80.0], [100.0], True),
        (LATENCY, [81.0], [100.0], False),
        (Figure("shown only", "us", "-"), [81.0], [1.0], None),
    ],
)
def test_a_target_bounds_the_ratio_of_the_medians(
    figure: Figure, moldau: list[float], peer: list[float], met: bool | None
) -> None:
    assert Rounds(figure, moldau, peer).met is met


def test_without_a_peer_there_is_neither_a_ratio_nor_a_verdict() -> None:
    row = Rounds(RATE, [100.0])
    assert (row.ratio, row.met) == (None, None)


def test_the_spread_is_that_of_the_side_that_wavers_more() -> None:
    assert Rounds(RATE, [90.0, 100.0, 110.0], [100.0, 100.0, 150.0]).spread == 0.5


def test_results_are_a_list_of_objects_with_the_agreed_names(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path, [Rounds(RATE, [300.0], [100.0])])
    (entry,) = json.loads(path.read_text())
    assert {key: entry[key] for key in ("name", "unit", "mode", "moldau", "peer", "ratio", "spread")} == {
        "name": "rate",
        "unit": "requests/s",
        "mode": "synced",
        "moldau": 300.0,
        "peer": 100.0,
        "ratio": 3.0,
        "spread": 0.0,
    }


def test_the_table_names_a_miss() -> None:
    assert "MISS" in table([Rounds(LATENCY, [100.0], [100.0])])
    assert "MISS" not in table([Rounds(LATENCY, [10.0], [100.0])])


def test_figures_are_given_to_four_digits() -> None:
    assert rounded(123456.0) == 123500.0


def test_every_figure_has_a_name_of_its_own_within_its_mode() -> None:
    names = [(figure.name, figure.mode) for row in all_rows() for figure in row.figures]
    assert len(names) == len(set(names))
