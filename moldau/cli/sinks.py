"""Where `consume` writes: batches of messages to a binary stream, flushed batch by batch so that a tail is live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO, Protocol

import msgspec

from moldau.cli.format import as_json, compile_format


class Sink(Protocol):
    def write(self, batch: Sequence[Any]) -> None: ...

    def close(self) -> None:
        """Whatever ends the output."""


class FormatSink:
    """Records in the format language. Raises ValueError when `form` is not in it."""

    def __init__(self, out: BinaryIO, form: str) -> None:
        self._out = out
        self._show = compile_format(form)

    def write(self, batch: Sequence[Any]) -> None:
        self._out.write(b"".join(map(self._show, batch)))
        self._out.flush()

    def close(self) -> None:
        self._out.flush()


class JsonSink:
    """One object a line, or one JSON array."""

    def __init__(self, out: BinaryIO, *, as_list: bool) -> None:
        self._out = out
        self._encode = msgspec.json.Encoder().encode
        self._as_list = as_list
        self._empty = True

    def write(self, batch: Sequence[Any]) -> None:
        lines = [self._encode(as_json(message)) for message in batch]
        if self._as_list:
            self._out.write((b"[\n" if self._empty else b",\n") + b",\n".join(lines))
        else:
            self._out.write(b"\n".join(lines) + b"\n")
        self._empty = False
        self._out.flush()

    def close(self) -> None:
        if self._as_list:
            self._out.write(b"[]\n" if self._empty else b"\n]\n")
        self._out.flush()
