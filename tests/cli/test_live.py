"""The live view as text."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from moldau.cli.live import LiveView, Picture, Rate, Row, render

ROWS = [
    Row("/var/log/syslog", "11-24 14:49", {"error": 2, "info": 1}, {"error": 5, "info": 1200}),
    Row("/var/log/dpkg.log", "11-24 14:00", {"plain": 1}, {"plain": 7}),
]


def picture(**given: Any) -> Picture:
    facts: dict[str, Any] = {
        "address": "127.0.0.1:9092",
        "topic": "logs",
        "group": "quickstart",
        "data_dir": "/data",
        "rows": ROWS,
        "lines_read": 12345,
        "read_rate": 99.6,
        "count_rate": 80.0,
        "lag": 7,
        "left_out": 0,
        "notes": [],
    }
    return Picture(**{**facts, **given})


def shown(what: Picture, rows: int = 10) -> str:
    console = Console(file=io.StringIO(), width=130, force_terminal=False)
    console.print(render(what, rows))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_it_shows_address_rate_lag_and_counts() -> None:
    text = shown(picture())
    assert "127.0.0.1:9092" in text
    assert "12,345 lines read  100/s in  80/s counted  lag 7" in text
    assert "/var/log/syslog" in text
    assert "2 / 5" in text
    assert "3 / 1,205" in text
    assert "left out" not in text


def test_it_says_what_to_try_next() -> None:
    text = shown(picture())
    assert "moldau consume logs -o -5 -f '%k %v\\n'" in text
    assert "moldau serve --data-dir /data" in text
    assert " -b 127" not in text.replace("kcat -b", "")
    assert "moldau group describe quickstart -b 127.0.0.1:1" in shown(picture(address="127.0.0.1:1"))


def test_it_fits_the_screen() -> None:
    many = [Row(f"/{number}", "11-24 14:49", {}, {"plain": number}) for number in range(1, 20)]
    text = shown(picture(rows=many, left_out=3, notes=["mind the address"]), 4)
    assert "/19" in text
    assert "/15" not in text
    assert "and 15 more" in text
    assert "3 files left out" in text
    assert "mind the address" in text
    assert "1 file left out" in shown(picture(left_out=1))


def test_the_view_draws_on_its_console() -> None:
    console = Console(file=io.StringIO(), width=130, height=50, force_terminal=True, color_system=None)
    with LiveView(console) as view:
        view.show(picture())
    assert "12,345 lines read" in console.file.getvalue()  # type: ignore[attr-defined]


def test_rates_are_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.at(0.0, 0) == 0.0
    assert rate.at(2.0, 10) == 5.0
    assert rate.at(6.0, 10) == 0.0
    assert rate.at(7.0, 20) == 2.0
