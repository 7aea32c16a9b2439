"""What goes into an outbox comes out of the socket in order; slices are let go of exactly once."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moldau.core.base.workers import Done, Work
from moldau.core.net import outbox as module
from moldau.core.net.outbox import COPY_MAX, Outbox
from moldau.core.net.receive import Budget


class Piece:
    """A slice of a file that counts its releases."""

    def __init__(self, handle: int, position: int, length: int) -> None:
        self.handle = handle
        self.position = position
        self.length = length
        self.released = 0

    def __len__(self) -> int:
        return self.length

    def read(self) -> bytes:
        return os.pread(self.handle, self.length, self.position)

    def retain(self) -> None:
        self.released -= 1

    def release(self) -> None:
        self.released += 1


class Held:
    """A worker that does nothing until told."""

    def __init__(self) -> None:
        self.works: list[tuple[Work, Done]] = []

    def submit(self, work: Work, done: Done) -> None:
        self.works.append((work, done))

    def run(self) -> None:
        for work, done in self.works:
            done(work(), None)
        self.works.clear()

    def close(self) -> None:
        """Nothing runs."""


class Ends:
    """An outbox on one end of a socket pair, and the other end to read from."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.cold = Held()
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.budget = Budget(1 << 20)
        self.events: list[str] = []
        self.outbox = Outbox(
            asyncio.get_running_loop(),
            self.near.fileno(),
            self.cold,
            self.budget,
            lambda: self.events.append("drained"),
            lambda: self.events.append("broken"),
        )

    async def read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            got += await asyncio.get_running_loop().sock_recv(self.far, min(size - len(got), 1 << 16))
        return got

    def close(self) -> None:
        self.outbox.close()
        self.near.close()
        self.far.close()


def run(body: Callable[[Ends], Any]) -> None:
    async def main() -> None:
        ends = Ends()
        try:
            await body(ends)
        finally:
            ends.close()

    asyncio.run(main())


@pytest.fixture
def content(tmp_path: Path) -> tuple[int, bytes]:
    data = os.urandom(3 << 20)
    path = tmp_path / "segment"
    path.write_bytes(data)
    return os.open(path, os.O_RDONLY), data


def test_bytes_and_slices_leave_in_order(content: tuple[int, bytes]) -> None:
    handle, data = content
    large, short = Piece(handle, 100, 2 << 20), Piece(handle, 5, COPY_MAX)

    async def body(ends: Ends) -> None:
        ends.outbox.write(b"first")
        ends.outbox.write_chunks([b"head", short, b"middle", large, b"tail"])
        ends.outbox.write(b"last")
        wanted = b"firsthead" + data[5 : 5 + COPY_MAX] + b"middle" + data[100 : 100 + (2 << 20)] + b"taillast"
        assert ends.outbox.waiting
        assert await ends.read(len(wanted)) == wanted
        await asyncio.sleep(0)
        assert (bool(ends.outbox.waiting), ends.outbox.waiting_bytes, ends.budget.used) == (False, 0, 0)
        assert ends.events == ["drained"]
        assert (large.released, short.released) == (1, 1)

    run(body)


def test_a_lost_connection_lets_go_of_what_waits(content: tuple[int, bytes]) -> None:
    handle, _ = content
    piece = Piece(handle, 0, 3 << 20)

    async def body(ends: Ends) -> None:
        ends.outbox.write_chunks([b"head", piece, b"x" * 1000])
        assert ends.budget.used == 1000
        ends.outbox.close()
        assert (piece.released, ends.budget.used) == (1, 0)
        late = Piece(handle, 0, 10)
        ends.outbox.write_chunks([late])
        ends.outbox.write(b"nobody reads this")
        assert late.released == 1

    run(body)


def test_a_peer_that_is_gone_is_reported_once(content: tuple[int, bytes]) -> None:
    async def body(ends: Ends) -> None:
        ends.far.close()
        ends.outbox.write(b"a")
        ends.outbox.write(b"b")
        assert ends.events == ["broken"]

    run(body)


def test_a_slice_past_the_end_of_its_file_breaks_the_connection_rather_than_hang(content: tuple[int, bytes]) -> None:
    handle, data = content
    piece = Piece(handle, len(data), COPY_MAX + 1)

    async def body(ends: Ends) -> None:
        ends.outbox.write_chunks([b"head", piece])
        assert ends.events == ["broken"]
        assert piece.released == 1

    run(body)


def test_a_short_slice_that_is_shorter_than_it_says_breaks_the_connection(content: tuple[int, bytes]) -> None:
    handle, data = content
    piece = Piece(handle, len(data) - 10, 100)

    async def body(ends: Ends) -> None:
        ends.outbox.write_chunks([b"head", piece])
        assert ends.events == ["broken"]
        assert piece.released == 1

    run(body)


def test_a_slice_that_cannot_be_read_breaks_the_connection(content: tuple[int, bytes]) -> None:
    handle, _ = content
    os.close(handle)
    piece = Piece(handle, 0, 100)

    async def body(ends: Ends) -> None:
        ends.outbox.write_chunks([b"head", piece, b"tail"])
        assert ends.events == ["broken"]
        assert (piece.released, ends.budget.used) == (1, 0)

    run(body)


def test_a_cold_slice_is_read_elsewhere_first_and_stays_open_meanwhile(
    content: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, data = content
    warm = False
    monkeypatch.setattr(module, "is_warm", lambda *_: warm)
    piece, lost = Piece(handle, 0, 1000), Piece(handle, 0, 1000)

    async def body(ends: Ends) -> None:
        nonlocal warm
        ends.outbox.write_chunks([b"head", piece])
        ends.outbox.write(b"tail")
        assert len(ends.cold.works) == 1
        assert piece.released == -1
        warm = True
        ends.cold.run()
        assert await ends.read(1008) == b"head" + data[:1000] + b"tail"
        assert piece.released == 1
        warm = False
        ends.outbox.write_chunks([lost])
        ends.outbox.close()
        assert lost.released == 0, "the worker still reads it"
        ends.cold.run()
        assert lost.released == 1

    run(body)


def test_a_process_without_a_descriptor_left_loses_one_connection(
    content: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> int:
        raise OSError(24, "EMFILE")

    async def body(ends: Ends) -> None:
        monkeypatch.setattr(os, "dup", full)
        ends.outbox.write(bytes(32 << 20))
        assert ends.events == ["broken"]
        assert ends.budget.used == 0

    run(body)


def test_the_mark_moves_as_the_peer_takes_bytes() -> None:
    async def body(ends: Ends) -> None:
        assert ends.outbox.mark == (0, 0)
        ends.outbox.write(bytes(32 << 20))
        before = ends.outbox.mark
        assert before[0] == 1
        await ends.read(8 << 20)
        await asyncio.sleep(0)
        assert ends.outbox.mark != before

    run(body)
