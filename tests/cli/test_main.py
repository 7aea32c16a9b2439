"""The frame of the command line: what is imported when, what errors look like, which exit codes there are."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from moldau import __version__
from moldau.cli import main
from moldau.cli.errors import CliError, Exit
from moldau.cli.main import COMMANDS, cli, run
from moldau.core.base.errors import ConfigError, StorageError

# What `moldau version` and `moldau --help` have no time for (250 ms in all).
HEAVY = ("confluent_kafka", "rich", "asyncio", "uvloop", "msgspec", "cramjam", "moldau.core.server", "moldau.core.log")


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["--help"], [], ["serve", "--help"], ["nope"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    heavy = [name for name in HEAVY if name != "moldau.core.server" or arguments[:1] != ["serve"]]
    code = (
        "import sys\n"
        "from moldau.cli.main import run\n"
        f"run({arguments!r})\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_tree_leads_to_each_command(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == Exit.OK
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == Exit.OK
    assert capsys.readouterr().out == f"moldau {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nope"], ["topic", "nope"], ["topic", "create"], ["version", "--output", "xml"], ["-Z"], []]
)
def test_wrong_usage_is_2_and_speaks_on_stderr(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == Exit.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Usage: moldau" in shown.err


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (CliError("gone", hint="look", code=Exit.NOT_FOUND), 3, "error: gone\nhint: look\n"),
        (ConfigError("bad value"), 2, "error: bad value\n"),
        (StorageError("no disk"), 1, "error: no disk\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "error: [Errno 13] Permission denied: '/x'\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (click.Abort(), 130, "\n"),
    ],
)
def test_errors_are_words_and_codes(
    error: BaseException, code: int, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr(main.cli, "main", fail)
    assert run(["version"]) == code
    assert capsys.readouterr().err == shown


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr(main.cli, "main", fail)
    with pytest.raises(AssertionError, match="ours"):
        run(["version"])


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "moldau", "version"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (Exit.ERROR, b"")
