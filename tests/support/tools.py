"""What a test needs from outside the repository, and what happens where it cannot be had.

Without it a test is skipped and the closing lines name it; with REQUIRE_PEERS=1 it fails instead.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

from tests.support import peer

# How a skip of this kind begins: conftest collects them for the closing lines.
MISSING = "missing here: "


def required() -> bool:
    """Whether a missing peer or tool is a failure (continuous integration)."""
    return os.environ.get("REQUIRE_PEERS", "") not in ("", "0")


def unavailable(what: str) -> NoReturn:
    """End the test: `what` cannot be had on this machine."""
    if required():
        pytest.fail(f"{MISSING}{what} (REQUIRE_PEERS is set)", pytrace=False)
    pytest.skip(MISSING + what)


def need(command: str) -> str:
    """The path of an executable the test uses."""
    found = shutil.which(command)
    if found is None:
        unavailable(command)
    return found


def need_peer() -> None:
    """Apache Kafka's jars and a Java to run them."""
    lacking = peer.missing()
    if lacking is not None:
        unavailable(lacking)
