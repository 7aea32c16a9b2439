"""`moldau serve`: gather the settings, then run the broker. What a setting means is the broker's business."""

from __future__ import annotations

import os
from typing import Any

import click

from moldau.cli.data_dir import data_dir_option, default_data_dir
from moldau.cli.errors import CliError, Exit
from moldau.cli.options import KEY_VALUE
from moldau.cli.output import message
from moldau.core.server.settings import Given, Settings, load

# What --dev puts below every other source: nobody waits three seconds for the second member of a group.
DEVELOPMENT = {"group.initial.rebalance.delay.ms": "0"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@data_dir_option
@click.option(
    "--listener",
    "listeners",
    multiple=True,
    metavar="HOST:PORT",
    help="Listen there; may be repeated as NAME://HOST:PORT.  [default: 127.0.0.1:9092]",
)
@click.option(
    "-c",
    "--config",
    "files",
    multiple=True,
    metavar="FILE",
    help="A server.properties or a .toml file; a later one wins.",
)
@click.option(
    "-X",
    "overrides",
    type=KEY_VALUE,
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting, by Kafka's name.",
)
@click.option("--dev", is_flag=True, help="Settings for a development machine: groups start without a delay.")
@click.option("--list-settings", is_flag=True, help="Show every setting, its default and what it does; run nothing.")
def serve(*, list_settings: bool, **given: Any) -> int:
    """Run a broker until SIGTERM or Ctrl-C. A line with the word `ready` on standard error says that it serves.

    Settings are Kafka's, from (a former one wins) -X and the other flags, variables MOLDAU_... and KAFKA_... as in
    Kafka's own container image, the files of -c.

    \b
    Examples:
      moldau serve
      moldau serve --data-dir /var/lib/moldau --listener 0.0.0.0:9092 -X advertised.listeners=PLAINTEXT://host:9092
      KAFKA_NUM_PARTITIONS=4 moldau serve -c server.properties
    """
    if list_settings:
        _show_settings()
        return Exit.OK
    settings = gather(**given)
    for warning in settings.warnings:
        message(f"warning: {warning}")
    from moldau.core.server.run import serve as run_broker

    return run_broker(settings.values)


def gather(
    *,
    data_dir: str | None,
    listeners: tuple[str, ...],
    files: tuple[str, ...],
    overrides: tuple[tuple[str, str], ...],
    dev: bool,
) -> Settings:
    """All sources as one mapping. Raises ConfigError."""
    from moldau.core.server.configs import options

    flags = {key: Given(text, f"-X {key}") for key, text in overrides}
    if listeners:
        flags["listeners"] = Given(",".join(_endpoint(text) for text in listeners), "--listener")
    if data_dir is not None:
        # Weaker than -X: it may come from MOLDAU_DATA_DIR.
        flags.setdefault("log.dirs", Given(data_dir, "--data-dir"))
    settings = load(options(), flags=flags, environment=os.environ, files=files, mode=DEVELOPMENT if dev else {})
    settings.values.setdefault("log.dirs", default_data_dir())
    return settings


def _show_settings() -> None:
    from moldau.core.server.configs import options

    known = options()
    for key, option in sorted(known.items()):
        spelled_in_ms = key.endswith((".hours", ".minutes")) and f"{key.rpartition('.')[0]}.ms" in known
        if not spelled_in_ms:
            click.echo(f"{key}={option.text(option.default)}")
            click.echo(f"    {option.doc}" + ("" if option.acted_on else " (Accepted, not acted on yet.)"))


def _endpoint(text: str) -> str:
    name, separator, address = text.rpartition("://")
    if not address.rpartition(":")[2].isdigit():
        raise CliError(f"--listener {text}: expected HOST:PORT or NAME://HOST:PORT", code=Exit.USAGE)
    return f"{name if separator else 'PLAINTEXT'}://{address}"
