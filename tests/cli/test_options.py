"""Shared options: which broker, which settings, and what KEY=VALUE may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from moldau.cli.errors import CliError, Exit
from moldau.cli.options import DEFAULT_BOOTSTRAP, KEY_VALUE, client_overrides, connection_options, output_option
from moldau.client.config import Connection


@click.command()
@client_overrides
@connection_options
@output_option
def probe(connection: Connection, output: str) -> None:
    click.echo(f"{connection.bootstrap} {output} {connection.timeout_s} {connection.settings.get('linger.ms')}")


def said(*arguments: str, **environment: str) -> str:
    result = CliRunner().invoke(probe, arguments, env=environment, catch_exceptions=False)
    return result.output


def test_the_broker_is_the_flag_the_variable_or_the_default() -> None:
    assert said() == f"{DEFAULT_BOOTSTRAP} table 10.0 None\n"
    assert said(MOLDAU_BOOTSTRAP="env:1", MOLDAU_OUTPUT="json") == "env:1 json 10.0 None\n"
    assert said("-b", "flag:2", "--timeout", "3", MOLDAU_BOOTSTRAP="env:1") == "flag:2 table 3.0 None\n"


def test_client_settings_come_from_flags_over_a_file(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("bootstrap.servers=file:3\nlinger.ms=1\n")
    assert said("--command-config", str(file)) == "file:3 table 10.0 1\n"
    assert said("--command-config", str(file), "-X", "linger.ms=2") == "file:3 table 10.0 2\n"


def test_a_broken_file_is_a_usage_error(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("a=\\uzz")
    with pytest.raises(CliError) as error:
        said("--command-config", str(file))
    assert error.value.code is Exit.USAGE


@pytest.mark.parametrize(("text", "pair"), [("a=b", ("a", "b")), ("a=b=c", ("a", "b=c")), (" a =", ("a", ""))])
def test_key_value(text: str, pair: tuple[str, str]) -> None:
    assert KEY_VALUE.convert(text, None, None) == pair
    assert KEY_VALUE.convert(pair, None, None) == pair


@pytest.mark.parametrize("text", ["", "a", "=b"])
def test_no_key_value(text: Any) -> None:
    with pytest.raises(click.BadParameter):
        KEY_VALUE.convert(text, None, None)
