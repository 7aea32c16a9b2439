"""The format language of `consume -f`, and records as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.cli.format import as_json, compile_format
from tests.support.fake_client import FakeMessage


def message(value: bytes | None = b"value", key: bytes | None = b"key", headers: Any = None) -> FakeMessage:
    return FakeMessage(value, key, headers=headers, partition=3, offset=42)


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        (r"%v\n", b"value\n"),
        (r"%t %p %o %k %v\n", b"topic 3 42 key value\n"),
        ("%T", b"1700000000000"),
        ("%h", b"a=1,b="),
        ("%K/%V", b"3/5"),
        (r"100%%\t\r\0\\\x41\xff", b"100%\t\r\0\\A\xff"),
        ("", b""),
        ("plain \u00fc", "plain \u00fc".encode()),
    ],
)
def test_language(form: str, shown: bytes) -> None:
    assert compile_format(form)(message(headers=[("a", b"1"), ("b", None)])) == shown


def test_null_prints_as_nothing_and_has_length_minus_one() -> None:
    empty = message(value=None, key=None)
    assert compile_format(r"[%k][%v][%h] %K %V")(empty) == b"[][][] -1 -1"
    assert compile_format(r"%v\n")(empty) == b"\n"
    assert compile_format("%V")(message(value=b"")) == b"0"


@pytest.mark.parametrize("form", ["%", "%q", "\\", r"\q", r"\x4", r"\xzz", "%v %"])
def test_what_is_not_in_the_language(form: str) -> None:
    with pytest.raises(ValueError, match="format"):
        compile_format(form)


@given(st.text())
def test_any_text_is_a_format_or_a_value_error(form: str) -> None:
    try:
        assert isinstance(compile_format(form)(message()), bytes)
    except ValueError:
        pass


def test_json() -> None:
    odd = message(value=b"\xff", headers=[("a", b"1"), ("b", b"\xfe"), ("c", None)])
    assert as_json(odd) == {
        "topic": "topic",
        "partition": 3,
        "offset": 42,
        "timestamp": 1700000000000,
        "key": "key",
        "value_base64": "/w==",
        "headers": [{"key": "a", "value": "1"}, {"key": "b", "value_base64": "/g=="}, {"key": "c", "value": None}],
    }
    assert json.dumps(as_json(message(key=None)))
