"""Variable-length integers and what generated codecs call when their short path does not fit.

Unsigned varints carry lengths and tags of messages; zig-zag varints carry everything inside a record. Readers take a
buffer and a position and return a value and the next position. They raise CorruptData for a varint that is too long
and IndexError past the end of the buffer, which the codecs translate. What never lives here: knowledge of a message.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import cast

from moldau.core.base.errors import CorruptData

Buffer = bytes | bytearray | memoryview

MAX_ARRAY = 1_000_000
# Of all arrays of one request together: what a few bytes of wire become in memory is bounded, too (about 50 MB).
MAX_ITEMS = 300_000
MAX_TAGS = 10_000
MAX_STRING = 32_767

_VARINT_BYTES = 5
_VARLONG_BYTES = 10
_SIGN = 1 << 31

# The one-byte varints, looked up instead of made.
BYTES = tuple(bytes((n,)) for n in range(128))


def uvarint(value: int) -> bytes:
    """An unsigned varint of 0 <= value < 2**32."""
    if value < 128:
        return BYTES[value]
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class TextCache(dict[str, bytes]):
    """Encoded strings, their lengths before them, by text: names of topics and hosts come again and again."""

    MOST = 4096
    LONGEST = 64

    def __init__(self, *, compact: bool, errors: str = "strict") -> None:
        super().__init__()
        self.compact = compact
        self.errors = errors

    def __missing__(self, text: str) -> bytes:
        """Raises ValueError for a string longer than Kafka allows, AttributeError for what is no string."""
        octets = text.encode("utf-8", self.errors)
        if len(octets) > MAX_STRING:
            raise ValueError(f"a string of {len(octets)} bytes is too long")
        length = uvarint(len(octets) + 1) if self.compact else len(octets).to_bytes(2, "big")
        encoded = length + octets
        if len(octets) <= self.LONGEST:
            if len(self) >= self.MOST:
                self.clear()
            self[text] = encoded
        return encoded


def zigzag(value: int) -> bytes:
    """A zig-zag varint of a signed value of up to 64 bits."""
    return uvarint(value << 1 if value >= 0 else (-value << 1) - 1)


def read_uvarint(buffer: Buffer, position: int) -> tuple[int, int]:
    """An unsigned varint of at most five bytes; bits above the 32nd are dropped."""
    first = buffer[position]
    if first < 128:
        return first, position + 1
    return uvarint_tail(buffer, position + 1, first)


def uvarint_tail(buffer: Buffer, position: int, first: int) -> tuple[int, int]:
    """The rest of an unsigned varint whose first byte (above 127) is read already."""
    value = first & 127
    for shift in range(7, 7 * _VARINT_BYTES, 7):
        byte = buffer[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFF, position
    raise CorruptData("a varint is longer than five bytes")


def length_tail(buffer: Buffer, position: int, first: int) -> tuple[int, int]:
    """Like `uvarint_tail`, for a length plus one: what Java would see as negative means null (0)."""
    value, position = uvarint_tail(buffer, position, first)
    return (value, position) if value < _SIGN else (0, position)


def array_tail(buffer: Buffer, position: int, first: int) -> tuple[int, int]:
    """Like `length_tail`, for an array: it has at most a million items."""
    value, position = length_tail(buffer, position, first)
    if value > MAX_ARRAY + 1:
        raise CorruptData(f"an array of {value - 1} items is too long")
    return value, position


def long_text(buffer: Buffer, position: int, first: int) -> tuple[str | None, int]:
    """A compact string whose length begins with `first` at `position`: what the short path does not read."""
    octets, position = _text_octets(buffer, position, first)
    return (None if octets is None else str(octets, "utf-8")), position


def lenient_text(buffer: Buffer, position: int, first: int) -> tuple[str | None, int]:
    """Like `long_text`; invalid UTF-8 becomes U+FFFD."""
    octets, position = _text_octets(buffer, position, first)
    return (None if octets is None else str(octets, "utf-8", "replace")), position


def _text_octets(buffer: Buffer, position: int, first: int) -> tuple[Buffer | None, int]:
    length, position = length_tail(buffer, position + 1, first) if first > 127 else (first, position + 1)
    if length == 0:
        return None, position
    if length > MAX_STRING + 1:
        raise CorruptData(f"a string of {length - 1} bytes is too long")
    stop = position + length - 1
    return buffer[position:stop], stop


def read_zigzag(buffer: Buffer, position: int, max_bytes: int = _VARINT_BYTES) -> tuple[int, int]:
    """A zig-zag varint of at most `max_bytes` (10 for 64 bits)."""
    value = 0
    for shift in range(0, 7 * max_bytes, 7):
        byte = buffer[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value >> 1) ^ -(value & 1), position
    raise CorruptData(f"a varint is longer than {max_bytes} bytes")


def read_zigzag64(buffer: Buffer, position: int) -> tuple[int, int]:
    """A zig-zag varint of at most 64 bits."""
    return read_zigzag(buffer, position, _VARLONG_BYTES)


def skip_tags(buffer: Buffer, position: int, first: int, end: int) -> int:
    """Skips the tagged fields of a section whose count starts with the byte `first`; gives the position behind them."""
    count = first
    if count > 127:
        count, position = uvarint_tail(buffer, position, first)
    if count > MAX_TAGS:
        raise CorruptData(f"{count} tagged fields are too many")
    for _ in range(count):
        _, position = read_uvarint(buffer, position)
        size, position = read_uvarint(buffer, position)
        position += size
        if position > end:
            raise CorruptData("a tagged field is longer than what holds it")
    return position


# Short arrays of numbers are read and written by a ready struct per length.
READY = 64


def number_readers(code: str) -> tuple[Callable[[Buffer, int], tuple[int, ...]], ...]:
    """`unpack_from` for 0 to READY - 1 big-endian numbers of struct's format `code`."""
    return tuple(struct.Struct(f">{n}{code}").unpack_from for n in range(READY))


def text_readers() -> tuple[Callable[[Buffer, int], tuple[bytes]], ...]:
    """`unpack_from` for 0 to READY - 1 raw bytes."""
    return cast("tuple[Callable[[Buffer, int], tuple[bytes]], ...]", number_readers("s"))


def compact_text_readers() -> tuple[Callable[[Buffer, int], tuple[bytes]], ...]:
    """`unpack_from` for compact strings by their length byte (1 to READY - 1), which is passed over."""
    layouts = (struct.Struct(f">x{max(0, n - 1)}s") for n in range(READY))
    return cast("tuple[Callable[[Buffer, int], tuple[bytes]], ...]", tuple(layout.unpack_from for layout in layouts))


def number_writers(code: str) -> tuple[Callable[..., bytes], ...]:
    """`pack` for 0 to READY - 1 big-endian numbers of struct's format `code`."""
    return tuple(struct.Struct(f">{n}{code}").pack for n in range(READY))
