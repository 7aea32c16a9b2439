"""Topic names: what is refused, and which are too alike."""

from __future__ import annotations

import pytest

from moldau.core.metadata.names import similar_form, topic_name_problem


@pytest.mark.parametrize("name", ["a", "a.b", "a_b-C9", "a" * 249, "...", "__consumer_offsets"])
def test_good_names(name: str) -> None:
    assert topic_name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "Topic name is invalid: the empty string is not allowed"),
        (".", "Topic name is invalid: '.' is not allowed"),
        ("..", "Topic name is invalid: '..' is not allowed"),
        (
            "a b",
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'",
        ),
        (
            "é",
            "Topic name is invalid: 'é' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'",
        ),
    ],
)
def test_bad_names_are_refused_in_kafkas_words(name: str, problem: str) -> None:
    assert topic_name_problem(name) == problem


def test_a_long_name_is_refused() -> None:
    problem = topic_name_problem("a" * 250)
    assert problem == f"Topic name is invalid: the length of '{'a' * 250}' is longer than the max allowed length 249"


def test_a_line_break_at_the_end_is_not_overlooked() -> None:
    assert topic_name_problem("a\n") is not None


def test_names_that_metrics_would_mix_have_one_form() -> None:
    assert similar_form("a.b") == similar_form("a_b") == "a_b"
    assert similar_form("plain") is None
