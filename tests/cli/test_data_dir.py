"""The default place of the data, and how the option names it."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from moldau.cli.data_dir import data_dir_option, default_data_dir


def test_default_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == str(tmp_path / "moldau")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_data_dir() == "/home/somebody/.local/share/moldau"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does for a user without a home
    assert default_data_dir() == "/var/lib/moldau"


def test_the_option_says_its_default_and_takes_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    @click.command()
    @data_dir_option
    def probe(data_dir: str | None) -> None:
        click.echo(f"{data_dir}")

    runner = CliRunner()
    assert "~/.local/share/moldau" in runner.invoke(probe, ["--help"]).output
    assert runner.invoke(probe, []).output == "None\n"
    assert runner.invoke(probe, [], env={"MOLDAU_DATA_DIR": "/d"}).output == "/d\n"
