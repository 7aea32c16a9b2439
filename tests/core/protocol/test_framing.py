"""Headers of requests and responses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData
from moldau.core.protocol.framing import (
    HEAD,
    SIZE,
    HeaderReader,
    parse_request_header,
    request_frame,
    response_chunks,
    response_frame,
)


def header(client: bytes, tags: bytes = b"", length: int | None = None) -> bytes:
    size = len(client) if length is None else length
    return HEAD.pack(3, 9, 77) + (size & 0xFFFF).to_bytes(2, "big") + client + tags


@pytest.mark.parametrize("flexible", [False, True])
@pytest.mark.parametrize("client", ["rdkafka", "", "x" * 63, "x" * 64, "x" * 300, "n\u00e9", None])
def test_a_request_is_framed_and_its_header_parsed(client: str | None, flexible: bool) -> None:
    frame = request_frame(3, 9, 77, client, b"body", flexible)
    assert SIZE.unpack_from(frame)[0] == len(frame) - 4
    assert HEAD.unpack_from(frame, 4) == (3, 9, 77)
    around = memoryview(bytearray(b"--" + frame + b"behind"))
    found, body = parse_request_header(around, 2 + 4, 2 + len(frame), flexible)
    assert (found, bytes(around[body : 2 + len(frame)])) == (client, b"body")


def test_unknown_tags_of_a_header_are_skipped() -> None:
    data = header(b"me", b"\x02\x00\x03abc\x05\x00") + b"body"
    assert parse_request_header(data, 0, len(data), True) == ("me", len(data) - 4)


@pytest.mark.parametrize("flexible", [False, True])
@pytest.mark.parametrize("size", [3, 100])
def test_a_client_id_that_is_not_utf8_is_replaced(size: int, flexible: bool) -> None:
    data = b"--" + header(b"\xff" * size, b"\x01\x00\x01x" if flexible else b"") + b"body"
    assert parse_request_header(data, 2, len(data), flexible) == ("\ufffd" * size, len(data) - 4)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        header(b"")[:9],
        header(b"abc", length=4),
        header(b"abc", length=200),
        header(b"a" * 70, length=71),
        header(b"\xff" * 3, length=4),
        header(b"\xff" * 70, length=71),
        header(b"abc"),  # no tag section
        header(b"abc", b"\x01"),
        header(b"abc", b"\x01\x00\x05x"),
        header(b"abc", b"\xff\xff\xff\xff\xff\xff"),
        header(b"\xff", b"\x01\x00\x05x"),
    ],
)
def test_headers_that_break_off_are_corrupt(data: bytes) -> None:
    for buffer in (data, data + b"\x00" * 90):  # what lies behind the frame belongs to somebody else
        with pytest.raises(CorruptData):
            parse_request_header(buffer, 0, len(data), True)


def test_a_reader_of_headers_says_what_parsing_says_whatever_came_before() -> None:
    reader = HeaderReader()
    frames = [
        (header(client, tags), flexible)
        for client in (b"one", b"other", b"", b"x" * 100)
        for flexible, tags in ((True, b"\x00"), (True, b"\x01\x00\x01x"), (False, b""))
    ]
    for index in range(len(frames) ** 2 * 2):
        data, flexible = frames[(index // 2 if index % 4 < 2 else index // 2 // len(frames)) % len(frames)]
        around = b"-" + data + b"body"
        expected = parse_request_header(around, 1, len(around), flexible)
        assert (reader.body_start(around, 1, len(around), flexible), reader.client_id) == expected[::-1]


@pytest.mark.parametrize("flexible", [False, True])
def test_a_reader_of_headers_does_not_look_beyond_the_frame(flexible: bool) -> None:
    reader = HeaderReader()
    data = header(b"client", b"\x00" if flexible else b"")
    assert reader.body_start(data, 0, len(data), flexible) == len(data)
    for end in range(HEAD.size, len(data)):
        for buffer in (data, data[:end]):
            with pytest.raises(CorruptData):
                reader.body_start(buffer, 0, end, flexible)
    assert reader.body_start(data, 0, len(data), flexible) == len(data)


@given(st.binary(max_size=40), st.booleans())
def test_any_bytes_parse_or_are_corrupt(data: bytes, flexible: bool) -> None:
    try:
        _, body = parse_request_header(data, 0, len(data), flexible)
    except CorruptData:
        return
    assert HEAD.size + 2 <= body <= len(data)


@pytest.mark.parametrize(("flexible", "head"), [(False, "000000080000004d"), (True, "000000090000004d00")])
def test_a_response_is_framed(flexible: bool, head: str) -> None:
    assert response_frame(77, b"body", flexible) == bytes.fromhex(head) + b"body"


class Slice:
    def __len__(self) -> int:
        return 10


@pytest.mark.parametrize("flexible", [False, True])
def test_a_response_of_chunks_counts_them_all(flexible: bool) -> None:
    slices = Slice()
    chunks = response_chunks(77, [b"ab", slices, b"c"], flexible)
    whole = response_frame(77, b"ab" + bytes(10) + b"c", flexible)
    assert chunks[0] == whole[: len(chunks[0])]
    assert chunks[1:] == [slices, b"c"]
    assert sum(map(len, chunks)) == len(whole)
    assert response_chunks(77, [slices], flexible)[1:] == [slices]
    assert response_chunks(77, [], flexible) == [response_frame(77, b"", flexible)]
