"""How much a long test does: little in `make test`, much in `make prove` (MOLDAU_PROVE=1)."""

from __future__ import annotations

import os


def proving() -> bool:
    """Whether this is `make prove`."""
    return os.environ.get("MOLDAU_PROVE", "") not in ("", "0")


def amount(name: str, *, test: int, prove: int) -> int:
    """How many rounds, frames, ... `name` asks for. MOLDAU_<NAME> in the environment overrides both figures."""
    given = os.environ.get(f"MOLDAU_{name.upper()}")
    if given:
        return int(given)
    return prove if proving() else test
