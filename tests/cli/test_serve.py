"""`moldau serve`: every source of settings ends in one mapping, and nothing wrong ends in a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from moldau.cli.data_dir import default_data_dir
from moldau.cli.errors import Exit
from moldau.cli.main import run
from moldau.core.base.errors import StorageError
from moldau.core.server import run as server


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """The settings of each broker that would have been run."""
    found: list[Mapping[str, str]] = []

    def serve(settings: Mapping[str, str]) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr(server, "serve", serve)
    for name in ("MOLDAU_DATA_DIR", "MOLDAU_TEST_BROKER", "MOLDAU_PROVE"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_flags_become_settings(started: list[Mapping[str, str]]) -> None:
    assert run(["serve", "--data-dir", "/d", "--listener", "0.0.0.0:1", "-X", "num.partitions=4", "--dev"]) == Exit.OK
    assert started == [
        {
            "log.dirs": "/d",
            "listeners": "PLAINTEXT://0.0.0.0:1",
            "num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
        }
    ]


def test_without_anything_it_has_a_place(started: list[Mapping[str, str]]) -> None:
    assert run(["serve"]) == Exit.OK
    assert started == [{"log.dirs": default_data_dir()}]


def test_files_and_variables(started: list[Mapping[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("log.dirs=/from-file\nnum.partitions=2\ncompression.type=zstd\nbackground.threads=3\n")
    monkeypatch.setenv("KAFKA_NUM_PARTITIONS", "3")
    assert run(["serve", "-c", str(file)]) == Exit.OK
    assert started[0]["log.dirs"] == "/from-file"
    assert started[0]["num.partitions"] == "3"
    monkeypatch.setenv("MOLDAU_DATA_DIR", "/from-variable")
    assert run(["serve", "-c", str(file)]) == Exit.OK
    assert started[1]["log.dirs"] == "/from-variable"
    assert run(["serve", "-X", "log.dirs=/from-flag"]) == Exit.OK
    assert started[2]["log.dirs"] == "/from-flag"


def test_listeners_may_be_several_and_named(started: list[Mapping[str, str]]) -> None:
    assert run(["serve", "--listener", "A://127.0.0.1:1", "--listener", "B://[::1]:2"]) == Exit.OK
    assert started[0]["listeners"] == "A://127.0.0.1:1,B://[::1]:2"


def test_what_is_passed_over_is_said(started: list[Mapping[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "-X", "background.threads=3"]) == Exit.OK
    assert capsys.readouterr().err.startswith("warning: -X background.threads: background.threads is a setting of")


def test_the_settings_document_themselves(started: list[Mapping[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--list-settings"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "listeners=PLAINTEXT://127.0.0.1:9092\n    Addresses to listen on" in shown
    assert "moldau.durability=synced\n" in shown
    assert "log.retention.ms=" in shown
    assert "log.retention.hours" not in shown
    assert started == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-X", "no.such.key=1"], "unknown setting no.such.key"),
        (["-X", "num.partitions=0"], "Invalid value 0 for configuration num.partitions"),
        (["-X", "num.partitions"], "is not KEY=VALUE"),
        (["-c", "/no/such/file"], "/no/such/file: No such file or directory"),
        (["--listener", "localhost"], "--listener localhost: expected HOST:PORT"),
    ],
)
def test_wrong_settings_stop_it(
    arguments: list[str], problem: str, started: list[Mapping[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", *arguments]) == Exit.USAGE
    assert problem in capsys.readouterr().err
    assert started == []


def test_what_the_broker_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(settings: Mapping[str, str]) -> int:
        raise StorageError(f"{settings['log.dirs']} is in use")

    monkeypatch.setattr(server, "serve", refuse)
    assert run(["serve", "--data-dir", "/d"]) == Exit.ERROR
    assert capsys.readouterr().err == "error: /d is in use\n"
