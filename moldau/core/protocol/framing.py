"""The outside of requests and responses: sizes and headers. What never lives here: bodies.

    request    int32 size | int16 api key | int16 api version | int32 correlation id | client id | tags | body
    response   int32 size | int32 correlation id | tags | body

The client id is a classic nullable string in every header version. Tags are there only in flexible headers (see
`registry.Api` for which versions those are). The session reads size and HEAD itself: they come first in every version.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from moldau.core.base.errors import CorruptData
from moldau.core.protocol.compile_decoder import text_readers
from moldau.core.protocol.primitives import READY, Buffer, skip_tags

SIZE = struct.Struct(">i")
HEAD = struct.Struct(">hhi")  # api key, api version, correlation id

_NULL = b"\xff\xff"
_NULL_LENGTH = 1 << 15  # lengths from here on are negative
_ANSWER = struct.Struct(">ii")
_FLEXIBLE_ANSWER = struct.Struct(">iix")
_TEXT = text_readers()
_NOTHING = struct.Struct("0s").unpack_from


def parse_request_header(buffer: Buffer, start: int, end: int, flexible: bool) -> tuple[str | None, int]:
    """The client id and where the body starts. `start` is at the api key, behind the size. Raises CorruptData."""
    start += HEAD.size
    try:
        length = buffer[start + 1]
        if length < READY and not buffer[start]:
            client_id: str | None = _TEXT[length](buffer, start + 2)[0].decode()
            position = start + 2 + length
        else:
            length |= buffer[start] << 8
            client_id, position = _long_client_id(buffer, start + 2, length, end)
        if flexible:
            tags = buffer[position]
            position += 1
            if tags:
                position = skip_tags(buffer, position, tags, end)
    except (IndexError, struct.error):
        raise CorruptData("a request header ends early") from None
    except UnicodeDecodeError:
        return _parse_lenient(buffer, start, end, flexible)
    if position > end:
        raise CorruptData("a request header is longer than its frame")
    return client_id, position


class HeaderReader:
    """Reads the headers of one connection: its client id is nearly always the one of the request before."""

    __slots__ = ("_known", "client_id")

    def __init__(self) -> None:
        self.client_id: str | None = None
        # For classic and flexible headers: a reader, what it reads if nothing has changed, the size of the header.
        self._known: list[tuple[Callable[..., tuple[bytes]], bytes | None, int]] = [(_NOTHING, None, 0)] * 2

    def body_start(self, buffer: Buffer, start: int, end: int, flexible: bool) -> int:
        """Where the body starts; `client_id` is this request's. `start` is at the api key. Raises CorruptData."""
        read, known, size = self._known[flexible]
        try:
            if read(buffer, start)[0] == known and start + size <= end:
                return start + size
        except struct.error:
            pass  # a shorter header than the last one, at the end of the buffer
        self.client_id, body = parse_request_header(buffer, start, end, flexible)
        size = body - start
        layout = struct.Struct(f"{HEAD.size}x{size - HEAD.size}s")
        known = bytes(buffer[start + HEAD.size : body])
        # The other form may have been read with another client id: then it is to be parsed again.
        self._known = [(_NOTHING, None, 0)] * 2
        self._known[flexible] = (layout.unpack_from, known, size)
        return body


def _long_client_id(buffer: Buffer, position: int, length: int, end: int) -> tuple[str | None, int]:
    """A client id that is null or long."""
    if length >= _NULL_LENGTH:
        return None, position
    stop = position + length
    if stop > end:
        raise CorruptData("a client id is longer than its frame")
    return str(buffer[position:stop], "utf-8"), stop


def _parse_lenient(buffer: Buffer, start: int, end: int, flexible: bool) -> tuple[str | None, int]:
    """For a client id that is not UTF-8: each bad sequence becomes U+FFFD. `start` is at its length."""
    length = buffer[start] << 8 | buffer[start + 1]
    stop = start + 2 + length
    if stop > end:
        raise CorruptData("a client id is longer than its frame")
    client_id = str(buffer[start + 2 : stop], "utf-8", "replace")
    # The rest reads like the header of a client without an id.
    rest = bytes(HEAD.size) + _NULL + bytes(buffer[stop:end])
    _, body = parse_request_header(rest, 0, len(rest), flexible)
    return client_id, stop + body - HEAD.size - len(_NULL)


def response_frame(correlation_id: int, body: bytes, flexible: bool) -> bytes:
    """A whole response of an encoded body."""
    if flexible:
        return _FLEXIBLE_ANSWER.pack(len(body) + 5, correlation_id) + body
    return _ANSWER.pack(len(body) + 4, correlation_id) + body


def response_chunks(correlation_id: int, chunks: list[Any], flexible: bool) -> list[Any]:
    """Like `response_frame`, for the chunks of `codec.chunk_encoder`; the header joins the first one if it is bytes."""
    size = sum(map(len, chunks)) + (5 if flexible else 4)
    head = (_FLEXIBLE_ANSWER if flexible else _ANSWER).pack(size, correlation_id)
    if chunks and type(chunks[0]) is bytes:
        return [head + chunks[0], *chunks[1:]]
    return [head, *chunks]


def request_frame(
    key: int, version: int, correlation_id: int, client_id: str | None, body: bytes, flexible: bool
) -> bytes:
    """A whole request of an encoded body."""
    name = b"" if client_id is None else client_id.encode()
    length = -1 if client_id is None else len(name)
    head = HEAD.pack(key, version, correlation_id) + struct.pack(">h", length) + name + (b"\0" if flexible else b"")
    return SIZE.pack(len(head) + len(body)) + head + body
