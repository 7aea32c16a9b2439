"""Properties files as Java reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.properties import parse_properties


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("# a comment\n! another\n\n", {}),
        ("a=1", {"a": "1"}),
        ("a = 1 ", {"a": "1 "}),
        ("a:1\nb 2\nc\t=\t3", {"a": "1", "b": "2", "c": "3"}),
        ("a==b", {"a": "=b"}),
        ("only-a-key", {"only-a-key": ""}),
        ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1\na=2", {"a": "2"}),
        ("list = one,\\\n       two", {"list": "one,two"}),
        ("a=1\\", {"a": "1"}),
        ("a=ends in a backslash\\\\\nb=2", {"a": "ends in a backslash\\", "b": "2"}),
        ("a\\ b\\=c=\\u0041\\tz\\q", {"a b=c": "A\tzq"}),
        ("  indented=yes", {"indented": "yes"}),
        ("a=# not a comment", {"a": "# not a comment"}),
    ],
)
def test_table(text: str, pairs: dict[str, str]) -> None:
    assert parse_properties(text) == pairs


@pytest.mark.parametrize("text", ["a=\\u12", "a=\\uzzzz", "a=\\u 123"])
def test_broken_escape_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="broken escape"):
        parse_properties(text)


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])),
    )
)
def test_escaped_pairs_come_back(pairs: dict[str, str]) -> None:
    text = "\n".join(f"{_escaped(key)}={_escaped(value)}" for key, value in pairs.items())
    assert parse_properties(text) == pairs
