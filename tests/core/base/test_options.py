"""The option table parses, checks and says in Kafka's words what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import option, parse, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    size_bytes: int = option("size.bytes", 10, at_least=1, at_most=100, doc="A size.")
    ratio: float = option("ratio", 0.5, at_least=0, at_most=1, doc="A share.")
    on: bool = option("on", True, doc="A switch.")
    policy: tuple[str, ...] = option("policy", ("delete",), choices=("delete", "compact"), doc="A list.")
    name: str = option("name", "x", doc="A text.", check=lambda text: None if text else "must not be empty")


def test_texts_become_values_of_the_annotated_type() -> None:
    sample = parse(Sample, {"size.bytes": " 20 ", "ratio": "0.25", "on": "FALSE", "policy": "compact, delete"})
    assert sample == Sample(size_bytes=20, ratio=0.25, on=False, policy=("compact", "delete"))


def test_a_base_keeps_what_is_not_named() -> None:
    assert parse(Sample, {"on": "false"}, Sample(size_bytes=5)) == Sample(size_bytes=5, on=False)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("size.bytes", "0", "Invalid value 0 for configuration size.bytes: Value must be at least 1"),
        ("size.bytes", "101", "Value must be no more than 100"),
        ("size.bytes", "ten", "Not a number of type LONG"),
        ("ratio", "2", "Value must be no more than 1"),
        ("ratio", "x", "Not a number of type DOUBLE"),
        ("on", "yes", "Expected value to be either true or false"),
        ("policy", "delete,burn", "String must be one of: delete, compact"),
        ("name", "", "must not be empty"),
        ("nothing", "1", "Unknown config name: nothing"),
    ],
)
def test_what_cannot_be_is_refused_with_kafkas_words(key: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Sample, {key: text})
    assert says in str(caught.value)


def test_every_row_writes_its_default_so_that_it_parses_back() -> None:
    for row in table(Sample).values():
        assert row.parse(row.text(row.default)) == row.default
