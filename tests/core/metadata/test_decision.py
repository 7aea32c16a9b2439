"""A decision is a value."""

from __future__ import annotations

from moldau.core.metadata.decision import Decision


def test_decisions_compare_by_what_they_hold() -> None:
    assert Decision([1], "yes") == Decision([1], "yes")
    assert Decision([], "yes") != Decision([1], "yes")
