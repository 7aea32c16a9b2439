"""Options that many commands share: which broker, which output format, client settings.

`connection_options` hands the command a ready `connection: Connection`; what the settings mean is
`moldau.client.config`'s.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from moldau.cli.errors import CliError, Exit
from moldau.cli.output import FORMATS

DEFAULT_BOOTSTRAP = "localhost:9092"

F = TypeVar("F", bound=Callable[..., Any])


class KeyValue(click.ParamType):
    """KEY=VALUE on the command line; a pair in Python."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, separator, text = str(value).partition("=")
        if not separator or not key.strip():
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key.strip(), text


KEY_VALUE = KeyValue()


def output_option(command: F) -> F:
    """--output, as `output`."""
    option = click.option(
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        envvar="MOLDAU_OUTPUT",
        show_default=True,
        help="The form of the data on standard output.",
    )
    return option(command)


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-b, --command-config, --timeout, as `connection`; client settings come in with `client_overrides`."""

    @click.option("-b", "--bootstrap", envvar="MOLDAU_BOOTSTRAP", metavar="HOST:PORT", help=_BOOTSTRAP_HELP)
    @click.option(
        "--command-config",
        envvar="MOLDAU_COMMAND_CONFIG",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="Client settings, a properties file as for Kafka's own tools.",
    )
    @click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0.1),
        default=10.0,
        show_default=True,
        help="Seconds to wait for the broker.",
    )
    @functools.wraps(command)
    def with_connection(
        *args: Any, bootstrap: str | None, command_config: str | None, timeout_s: float, **kwargs: Any
    ) -> Any:
        from moldau.client.config import Connection

        pairs = kwargs.pop("client_settings", ())
        try:
            file = Path(command_config).read_text() if command_config else ""
            connection = Connection.build(bootstrap, DEFAULT_BOOTSTRAP, file, dict(pairs), timeout_s)
        except ValueError as error:
            raise CliError(f"{command_config}: {error}", code=Exit.USAGE) from None
        return command(*args, connection=connection, **kwargs)

    return with_connection


def client_overrides(command: F) -> F:
    """-X for commands whose -X means settings of the client; stands above `connection_options`, which takes them in."""
    option = click.option(
        "-X",
        "client_settings",
        type=KEY_VALUE,
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting of the client (librdkafka's names); may be repeated.",
    )
    return option(command)


_BOOTSTRAP_HELP = f"The broker to talk to.  [env: MOLDAU_BOOTSTRAP; default: {DEFAULT_BOOTSTRAP}]"
