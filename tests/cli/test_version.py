"""`moldau version`."""

from __future__ import annotations

import json

import pytest

from moldau import __version__
from moldau.cli.main import run


def test_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith(f"moldau {__version__} (Kafka protocol 4.3")
    assert run(["version", "--output", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["version"], facts["kafka"]) == (__version__, "4.3")
    assert run(["version", "--output", "name"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
