"""The codecs of record batches behind one table: none, gzip, snappy (in xerial's framing), lz4 frames, zstd.

Decompression never makes more than the caller's bound, whatever the input claims. What never lives here: batches.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import cramjam

from moldau.core.base.errors import CorruptData, InvariantBroken
from moldau.core.protocol.primitives import Buffer

# What one batch may become at most, unless the caller knows better.
MAX_DECOMPRESSED = 64 << 20

_FIRST_GUESS = 64 << 10
_GROWTH = 4
_OUTPUT_FULL = "failed to write whole buffer"


class Codec(NamedTuple):
    """One codec: its number in a batch's attributes, its name in configs, and both directions."""

    number: int
    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], bytes]


def decompress(number: int, data: Buffer, max_bytes: int = MAX_DECOMPRESSED) -> bytes:
    """The bytes behind `data`. Raises CorruptData if it is broken, or larger than `max_bytes` when unpacked."""
    codec = BY_NUMBER.get(number)
    if codec is None:
        raise CorruptData(f"no codec has the number {number}")
    return codec.decompress(data if isinstance(data, bytes) else bytes(data), max_bytes)


def compress(name: str, data: bytes) -> bytes:
    """`data` packed by the codec of that name ("none", "gzip", "snappy", "lz4", "zstd")."""
    return by_name(name).compress(data)


def by_name(name: str) -> Codec:
    """The codec of a config's name. Raises InvariantBroken: names are checked where configs are read."""
    codec = _BY_NAME.get(name)
    if codec is None:
        raise InvariantBroken(f"no codec has the name {name}")
    return codec


def _too_large(max_bytes: int) -> CorruptData:
    return CorruptData(f"compressed data unpacks to more than {max_bytes} bytes")


# --- none


def _same(data: bytes) -> bytes:
    return data


def _same_within(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


# --- gzip: the standard library stops at a bound by itself


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


def _gunzip(data: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = max_bytes
    while data:
        stream = zlib.decompressobj(wbits=31)
        try:
            part = stream.decompress(data, room + 1)
        except zlib.error as error:
            raise CorruptData(f"broken gzip data: {error}") from None
        if len(part) > room:
            raise _too_large(max_bytes)
        if not stream.eof:
            raise CorruptData("gzip data ends early")
        parts.append(part)
        room -= len(part)
        data = stream.unused_data
    if not parts:
        raise CorruptData("gzip data is empty")
    return b"".join(parts)


# --- snappy: a header, then blocks of an int32 length and raw snappy; some clients send one raw block without framing

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL_MAGIC + struct.pack(">ii", 1, 1)  # this version, and the oldest that can read it
_XERIAL_BLOCK = 32 << 10


def _snappy(data: bytes) -> bytes:
    parts = [_XERIAL_HEADER]
    for start in range(0, len(data), _XERIAL_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(data[start : start + _XERIAL_BLOCK]))
        parts += (struct.pack(">i", len(block)), block)
    return b"".join(parts)


def _unsnappy(data: bytes, max_bytes: int) -> bytes:
    if not data.startswith(_XERIAL_MAGIC):
        return _unsnappy_block(data, max_bytes, max_bytes)
    parts: list[bytes] = []
    room = max_bytes
    position = len(_XERIAL_HEADER)
    while position < len(data):
        if data.startswith(_XERIAL_MAGIC, position):  # streams may be joined
            position += len(_XERIAL_HEADER)
            continue
        length = int.from_bytes(data[position : position + 4], "big")
        position += 4
        if length > len(data) - position:
            raise CorruptData("a snappy block is longer than its data")
        part = _unsnappy_block(data[position : position + length], room, max_bytes)
        parts.append(part)
        room -= len(part)
        position += length
    return b"".join(parts)


def _unsnappy_block(block: bytes, room: int, max_bytes: int) -> bytes:
    try:
        if cramjam.snappy.decompress_raw_len(block) > room:
            raise _too_large(max_bytes)
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise CorruptData(f"broken snappy data: {error}") from None


# --- lz4 and zstd: frames, unpacked into an output that grows to the bound and no further


def _lz4(data: bytes) -> bytes:
    # Kafka's reader wants blocks that stand by themselves, and ignores a checksum of the content.
    packer = cramjam.lz4.Compressor(content_checksum=False, block_linked=False)
    packer.compress(data)
    return bytes(packer.finish())


def _unlz4(data: bytes, max_bytes: int) -> bytes:
    return _unpack(cramjam.lz4.decompress_into, "lz4", data, max_bytes)


def _zstd(data: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(data, 3))


def _unzstd(data: bytes, max_bytes: int) -> bytes:
    return _unpack(cramjam.zstd.decompress_into, "zstd", data, max_bytes)


def _unpack(into: Callable[[bytes, bytearray], int], name: str, data: bytes, max_bytes: int) -> bytes:
    if not data:
        raise CorruptData(f"{name} data is empty")
    size = min(max(_FIRST_GUESS, _GROWTH * len(data)), max_bytes)
    while True:
        output = bytearray(size)
        try:
            used = into(data, output)
        except cramjam.DecompressionError as error:
            if _OUTPUT_FULL not in str(error):
                raise CorruptData(f"broken {name} data: {error}") from None
            if size >= max_bytes:
                raise _too_large(max_bytes) from None
            size = min(size * _GROWTH, max_bytes)
            continue
        return bytes(memoryview(output)[:used])


CODECS = (
    Codec(0, "none", _same, _same_within),
    Codec(1, "gzip", _gzip, _gunzip),
    Codec(2, "snappy", _snappy, _unsnappy),
    Codec(3, "lz4", _lz4, _unlz4),
    Codec(4, "zstd", _zstd, _unzstd),
)
BY_NUMBER = {codec.number: codec for codec in CODECS}
_BY_NAME = {codec.name: codec for codec in CODECS}
