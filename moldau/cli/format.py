r"""How `consume` shows a record: the format language of -f, and the JSON form. Pure.

    %t topic      %p partition   %o offset      %T timestamp in ms   %h headers as k=v,k=v
    %k key        %v value       %K key length  %V value length      %% a percent sign
    \n \t \r \0 \\ \xHH          the characters they are everywhere

A null key or value prints as nothing; its length is -1.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Protocol


class Message(Protocol):
    """What is needed of a confluent-kafka Message."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...


Show = Callable[[Any], bytes]

_ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "0": b"\0", "\\": b"\\"}


def compile_format(text: str) -> Show:
    """A function from message to the bytes to write. Raises ValueError for what is not in the language."""
    parts: list[bytes | Show] = []
    for piece in _pieces(text):
        if isinstance(piece, bytes) and parts and isinstance(parts[-1], bytes):
            parts[-1] += piece
        else:
            parts.append(piece)
    return _joined(parts)


def as_json(message: Message) -> dict[str, Any]:
    """One record as an object. Bytes that are not UTF-8 come as `key_base64`, `value_base64`."""
    shown: dict[str, Any] = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
    }
    _put(shown, "key", message.key())
    _put(shown, "value", message.value())
    headers = []
    for name, value in message.headers() or ():
        header: dict[str, Any] = {"key": name}
        _put(header, "value", value)
        headers.append(header)
    shown["headers"] = headers
    return shown


def _pieces(text: str) -> list[bytes | Show]:
    pieces: list[bytes | Show] = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character not in "%\\":
            pieces.append(character.encode())
            continue
        if position == len(text):
            raise ValueError(f"a lone {character} at the end of the format")
        code = text[position]
        position += 1
        if character == "%":
            pieces.append(_field(code))
        elif code == "x":
            pieces.append(_hex(text[position : position + 2]))
            position += 2
        elif code in _ESCAPES:
            pieces.append(_ESCAPES[code])
        else:
            raise ValueError(f"\\{code} is not in the format language")
    return pieces


def _field(code: str) -> bytes | Show:
    if code == "%":
        return b"%"
    if code not in _FIELDS:
        raise ValueError(f"%{code} is not in the format language")
    return _FIELDS[code]


def _hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits) if len(digits) == 2 else _no_hex(digits)
    except ValueError:
        return _no_hex(digits)


def _no_hex(digits: str) -> bytes:
    raise ValueError(f"\\x{digits} is not in the format language")


def _joined(parts: list[bytes | Show]) -> Show:
    if len(parts) == 2 and parts[0] is _value and isinstance(parts[1], bytes):
        # The common %v\n: one call less for each record.
        end = parts[1]
        return lambda message: (message.value() or b"") + end
    return lambda message: b"".join([part if isinstance(part, bytes) else part(message) for part in parts])


def _key(message: Message) -> bytes:
    key: bytes = message.key() or b""
    return key


def _value(message: Message) -> bytes:
    value: bytes = message.value() or b""
    return value


def _headers(message: Message) -> bytes:
    return b",".join(name.encode() + b"=" + (value or b"") for name, value in message.headers() or ())


def _length(content: bytes | None) -> bytes:
    return b"-1" if content is None else b"%d" % len(content)


_FIELDS: dict[str, Show] = {
    "t": lambda message: message.topic().encode(),
    "p": lambda message: b"%d" % message.partition(),
    "o": lambda message: b"%d" % message.offset(),
    "T": lambda message: b"%d" % message.timestamp()[1],
    "k": _key,
    "v": _value,
    "h": _headers,
    "K": lambda message: _length(message.key()),
    "V": lambda message: _length(message.value()),
}


def _put(target: dict[str, Any], name: str, content: bytes | None) -> None:
    try:
        target[name] = None if content is None else content.decode()
    except UnicodeDecodeError:
        target[f"{name}_base64"] = b64encode(content or b"").decode()
