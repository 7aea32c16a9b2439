"""`moldau version`."""

from __future__ import annotations

import platform

import click

from moldau import __version__
from moldau.cli.options import output_option
from moldau.cli.output import emit_object

# The Kafka release whose protocol and file formats this release follows.
KAFKA = "4.3"


@click.command()
@output_option
def version(output: str) -> None:
    """Say which Moldau this is, and which Kafka's protocol it speaks."""
    facts = {"version": __version__, "kafka": KAFKA, "python": platform.python_version()}
    emit_object(output, facts, lambda: [f"moldau {__version__} (Kafka protocol {KAFKA}, Python {facts['python']})"])
