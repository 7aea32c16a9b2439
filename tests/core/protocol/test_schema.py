"""Declarations: what they say, the classes they make, and what they refuse."""

from __future__ import annotations

import msgspec
import pytest

from moldau.core.base.errors import InvariantBroken
from moldau.core.protocol.schema import NO_VERSIONS, Versions, int32, message, parse_versions, schema_of
from tests.support.sample import Item, Point, Sample


@pytest.mark.parametrize(
    ("text", "range_"),
    [("3", (3, 3)), ("3+", (3, 32767)), ("3-7", (3, 7)), ("0+", (0, 32767)), ("none", (0, -1))],
)
def test_version_ranges_are_kafkas_texts(text: str, range_: tuple[int, int]) -> None:
    assert parse_versions(text) == Versions(*range_)


def test_no_version_covers_nothing() -> None:
    assert not any(NO_VERSIONS.covers(version) for version in range(-1, 10))


def test_a_schema_holds_what_was_declared() -> None:
    schema = schema_of(Sample)
    fields = {field.name: field for field in schema.fields}
    assert (schema.name, schema.kind, schema.versions, schema.flexible.low) == ("Sample", "data", Versions(0, 2), 1)
    assert list(fields)[:3] == ["flag", "tiny", "small"]
    assert fields["later"].tag == 1
    assert fields["later"].tagged.covers(2)
    assert not fields["later"].tagged.covers(1)
    assert fields["dropped"].ignorable
    assert not fields["added"].ignorable


def test_defaults_are_the_declared_ones_or_the_types() -> None:
    sample = Sample()
    assert (sample.small, sample.medium, sample.name, sample.blob, sample.id) == (-1, 0, "none", b"", bytes(16))
    assert (sample.nick, sample.batches, sample.other) == (None, None, None)
    assert sample.place == Point(0, 7)


def test_lists_are_fresh_and_structs_that_stand_alone_are_shared_and_cannot_change() -> None:
    one, two = Sample(), Sample()
    one.numbers.append(1)
    assert two.numbers == []
    assert one.place is two.place
    with pytest.raises(AttributeError):
        one.place.x = 1  # type: ignore[misc]


def test_values_compare_and_show_their_fields() -> None:
    assert Item("a") == Item(name="a") != Item("b")
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"
    assert isinstance(Item(), msgspec.Struct)


def test_a_plain_class_has_no_schema() -> None:
    with pytest.raises(InvariantBroken, match="not a declared"):
        schema_of(dict)


def test_a_field_without_a_helper_is_refused() -> None:
    with pytest.raises(InvariantBroken, match="loose"):

        @message("data", -1, "0")
        class Broken:
            good: int = int32()
            loose: int = 3
