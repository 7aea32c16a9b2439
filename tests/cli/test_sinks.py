"""What `consume` writes, batch by batch."""

from __future__ import annotations

import io
import json

import pytest

from moldau.cli.sinks import FormatSink, JsonSink
from tests.support.fake_client import FakeMessage


def test_format() -> None:
    out = io.BytesIO()
    sink = FormatSink(out, r"%v,")
    sink.write([FakeMessage(value=b"a"), FakeMessage(value=b"b")])
    sink.write([FakeMessage(value=b"c")])
    sink.close()
    assert out.getvalue() == b"a,b,c,"
    with pytest.raises(ValueError):
        FormatSink(out, "%q")


@pytest.mark.parametrize("batches", [[], [1], [2, 3]])
def test_json_array(batches: list[int]) -> None:
    out = io.BytesIO()
    sink = JsonSink(out, as_list=True)
    for size in batches:
        sink.write([FakeMessage(value=b"x")] * size)
    sink.close()
    assert [item["value"] for item in json.loads(out.getvalue())] == ["x"] * sum(batches)


def test_one_object_a_line() -> None:
    out = io.BytesIO()
    sink = JsonSink(out, as_list=False)
    sink.write([FakeMessage(value=b"a"), FakeMessage(value=b"b\n")])
    sink.close()
    assert [json.loads(line)["value"] for line in out.getvalue().splitlines()] == ["a", "b\n"]
