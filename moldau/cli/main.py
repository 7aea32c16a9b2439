"""The `moldau` command: its tree, and the one place where errors become words and exit codes.

A subcommand's module is imported only when that subcommand runs, so this file knows them by name and by
the one line `--help` shows. Keep it so: `moldau version` and `moldau --help` have 250 ms in all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from moldau.cli.errors import Exit, describe

# name -> (module, attribute, what --help says)
COMMANDS = {
    "serve": ("moldau.cli.serve", "serve", "Run a broker."),
    "quickstart": ("moldau.cli.quickstart", "quickstart", "See it work: this machine's log files through a broker."),
    "topic": ("moldau.cli.topics", "topic", "List, create, describe and delete topics."),
    "produce": ("moldau.cli.records", "produce", "Write lines from standard input to a topic."),
    "consume": ("moldau.cli.records", "consume", "Read records from a topic."),
    "group": ("moldau.cli.groups", "group", "List and describe consumer groups."),
    "version": ("moldau.cli.version", "version", "Say which Moldau this is."),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from moldau import __version__

        click.echo(f"moldau {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def cli() -> None:
    """Moldau, a streaming platform that speaks the Apache Kafka protocol.

    The commands work with any Kafka; -b HOST:PORT or MOLDAU_BOOTSTRAP says which (default localhost:9092).
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    try:
        returned = cli.main(list(arguments), prog_name="moldau", standalone_mode=False)
        return returned if isinstance(returned, int) else Exit.OK
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("", err=True)
        return Exit.INTERRUPTED
    except Exception as error:
        known = describe(error)
        if known is None:
            raise
        click.echo(f"error: {known.message}", err=True)
        if known.hint:
            click.echo(f"hint: {known.hint}", err=True)
        return known.code


def main() -> None:
    sys.exit(run(sys.argv[1:]))
