"""Builds the compiled load generators: `python -m bench.build`. They never enter git."""

from __future__ import annotations

import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent
BUILT = FOLDER / "build"
# Those with a main; wire.h is what they share.
PROGRAMS = ("produce_load", "end_to_end", "bulk")
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")


def build() -> None:
    """Compile what is older than its sources. Raises FileNotFoundError without a compiler, else CalledProcessError."""
    BUILT.mkdir(exist_ok=True)
    header = (FOLDER / "wire.h").stat().st_mtime
    for name in PROGRAMS:
        source, program = FOLDER / f"{name}.c", BUILT / name
        if program.exists() and program.stat().st_mtime > max(source.stat().st_mtime, header):
            continue
        subprocess.run(["cc", *FLAGS, "-o", str(program), str(source), "-ldl"], check=True)


def program(name: str) -> Path:
    """The built program `name`; built now if it is not there."""
    build()
    return BUILT / name


if __name__ == "__main__":
    build()
