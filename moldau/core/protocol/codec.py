"""Decoders and encoders of declared messages, made at first use and kept.

    decoder(cls, version)(buffer, start, end) -> (message, position behind it)
    encoder(cls, version)(message) -> bytes
    chunk_encoder(cls, version)(message) -> list of bytes and of the `records` objects that are not bytes-like

Decoding raises CorruptData for anything malformed and accepts bytes behind the message (Kafka does); invalid UTF-8
becomes U+FFFD. Encoding raises CannotEncode where a value does not fit the version, and TypeError for `records` that
only `chunk_encoder` can carry. `records` decode to a memoryview of the buffer, valid as long as the buffer is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, TypeVar, cast

from moldau.core.base.errors import InvariantBroken
from moldau.core.protocol.compile_decoder import DecoderSource
from moldau.core.protocol.compile_encoder import CannotEncode, EncoderSource
from moldau.core.protocol.primitives import Buffer
from moldau.core.protocol.schema import schema_of

__all__ = ["CannotEncode", "chunk_encoder", "decoder", "encoder"]

T = TypeVar("T")


def decoder(cls: type[T], version: int) -> Callable[[Buffer, int, int], tuple[T, int]]:
    """Reads one message of `version` between two positions of a buffer."""
    return cast("Callable[[Buffer, int, int], tuple[T, int]]", _decoder(cast(Hashable, cls), version))


def encoder(cls: type[T], version: int) -> Callable[[T], bytes]:
    """Writes one message as bytes."""
    return cast("Callable[[T], bytes]", _encoder(cast(Hashable, cls), version, chunks=False))


def chunk_encoder(cls: type[T], version: int) -> Callable[[T], list[Any]]:
    """Writes one message as chunks: `records` that are not bytes-like (file slices) stand by themselves, unread."""
    return cast("Callable[[T], list[Any]]", _encoder(cast(Hashable, cls), version, chunks=True))


@cache
def _decoder(cls: Any, version: int) -> Callable[..., Any]:
    _check(cls, version)

    def careful(buffer: Buffer, start: int, end: int) -> Any:
        return _careful_decoder(cls, version)(buffer, start, end)

    return DecoderSource(cls, version, careful).make()


@cache
def _careful_decoder(cls: Any, version: int) -> Callable[..., Any]:
    # Only for what the fast decoder hands over: large frames, invalid UTF-8.
    return DecoderSource(cls, version).make()


@cache
def _encoder(cls: Any, version: int, chunks: bool) -> Callable[..., Any]:
    _check(cls, version)

    def write_again(made: Any) -> Any:
        return _lenient_encoder(cls, version, chunks)(made)

    return EncoderSource(cls, version, chunks=chunks, lenient=False, fallback=write_again).make()


@cache
def _lenient_encoder(cls: Any, version: int, chunks: bool) -> Callable[..., Any]:
    # Only for messages with lone surrogates (a path that is not UTF-8, say); each becomes "?", as in Java.
    return EncoderSource(cls, version, chunks=chunks, lenient=True, fallback=None).make()


def _check(cls: type[Any], version: int) -> None:
    schema = schema_of(cls)
    if schema.kind is not None and not schema.versions.covers(version):
        raise InvariantBroken(f"{schema.name} has no version {version}")
