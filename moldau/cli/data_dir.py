"""Where a broker of this user keeps its data when nobody says so; the same place for `serve` and `quickstart`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

VARIABLE = "MOLDAU_DATA_DIR"

F = TypeVar("F", bound=Callable[..., Any])


def default_data_dir() -> str:
    """$XDG_DATA_HOME/moldau, which is ~/.local/share/moldau for most people; /var/lib/moldau for who has no home."""
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join("/var/lib" if base.startswith("~") else base, "moldau")


def data_dir_option(command: F) -> F:
    """--data-dir, as `data_dir`; None when neither the flag nor the variable is there."""
    option = click.option(
        "--data-dir",
        envvar=VARIABLE,
        type=click.Path(file_okay=False),
        metavar="DIR",
        help=f"Where the data lives.  [env: {VARIABLE}; default: {_shown(default_data_dir())}]",
    )
    return option(command)


def _shown(path: str) -> str:
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path.startswith(home + os.sep) else path
