"""How much a long test does: little in `make test`, much in `make prove` (PROVE=1)."""

from __future__ import annotations

import os


def proving() -> bool:
    """Whether this is `make prove`."""
    return os.environ.get("PROVE", "") not in ("", "0")


def amount(name: str, *, test: int, prove: int) -> int:
    """How many rounds, frames, ... `name` asks for. PROVE_<NAME> in the environment overrides both figures."""
    given = os.environ.get(f"PROVE_{name.upper()}")
    if given:
        return int(given)
    return prove if proving() else test
