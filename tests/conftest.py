"""What every test run does: names what was skipped for want of a tool, and in `make prove` writes the results down."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import scale, tools

REPOSITORY = Path(__file__).parent.parent
RESULTS = REPOSITORY / "docs" / "results"

# Figures that tests hand over with the `result` fixture, in the order they came.
_results: list[tuple[str, dict[str, object]]] = []

Result = Callable[..., None]


@pytest.fixture
def result(request: pytest.FixtureRequest) -> Result:
    """Call it with figures (`result(rounds=5, lost=0)`) that `make prove` shall write down beside the test's name."""
    name = request.node.nodeid

    def note(**figures: object) -> None:
        _results.append((name, figures))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        what = reason.removeprefix("Skipped: ")
        if what.startswith(tools.MISSING):
            missing[what] = missing.get(what, 0) + 1
    for what, count in sorted(missing.items()):
        terminalreporter.write_line(f"{count} skipped, {what}", yellow=True)
    for name, figures in _results:
        terminalreporter.write_line(f"{name}: " + ", ".join(f"{key}={value}" for key, value in figures.items()))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if scale.proving() and _results and not hasattr(session.config, "workerinput"):
        _write_results(exitstatus)


def _write_results(exitstatus: int) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    day = time.strftime("%Y-%m-%d")
    lines = [
        f"# Proofs of {day}",
        "",
        f"Linux {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{'all passed' if exitstatus == 0 else 'NOT all passed'}.",
        "",
        "| test | figures |",
        "|---|---|",
    ]
    for name, figures in _results:
        lines.append(f"| `{name}` | " + ", ".join(f"{key} {value}" for key, value in figures.items()) + " |")
    (RESULTS / f"{day}-prove.md").write_text("\n".join(lines) + "\n")
