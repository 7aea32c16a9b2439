"""One connection's way out: answers straight to its socket, slices of files straight from the page cache.

Writes go to the socket's descriptor, not through the transport: uvloop has no `sendfile`, and two queues to one
socket have no order. What the kernel does not take at once waits here; the loop then tells when the socket is
writable, by way of a duplicate descriptor (it allows no second watcher on a transport's own).

Slices are counted references: each is released once sent, or when the connection is lost. Long slices go by
`sendfile`; cold ones are read on the pool for lagging readers first, so that the loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from moldau.core.base.options import KIB, MIB
from moldau.core.base.workers import Worker
from moldau.core.net.receive import Budget

COPY_MAX = 64 * KIB
SEND_AT_ONCE = 4 * MIB
PROBE_STEP = 128 * KIB
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
_MORE = getattr(socket, "MSG_MORE", 0)


class Slice(Protocol):
    """A piece of a file: what `core.log` hands out (`FileSlice`)."""

    @property
    def handle(self) -> int: ...

    @property
    def position(self) -> int: ...

    def __len__(self) -> int: ...

    def read(self) -> bytes: ...

    def retain(self) -> None: ...

    def release(self) -> None: ...


Chunk = bytes | Slice


class Outbox:
    """Sends chunks in order.

    `on_drained` is called when everything that waited has gone, `on_broken` when the peer is gone.
    """

    __slots__ = (
        "_budget",
        "_cold",
        "_descriptor",
        "_duplicate",
        "_loop",
        "_on_broken",
        "_on_drained",
        "_sent",
        "_waits_for",
        "_warm_to",
        "waiting",
        "waiting_bytes",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        descriptor: int,
        cold_reads: Worker,
        budget: Budget,
        on_drained: Callable[[], None],
        on_broken: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._cold = cold_reads
        self._budget = budget  # counts what waits here, of all connections
        self._on_drained = on_drained
        self._on_broken = on_broken
        self.waiting: deque[Chunk] = deque()  # what was not taken yet; for others to look at only
        self._sent = 0  # bytes of the first waiting chunk that are out
        self._waits_for = ""  # "", "socket", "disk" or "closed"
        self._warm_to = 0  # how far the first waiting slice is known to be in the page cache
        self._duplicate: socket.socket | None = None  # for the loop to watch, and for `send` with flags
        self.waiting_bytes = 0  # bytes held in memory here; slices of files hold none

    @property
    def mark(self) -> tuple[int, int]:
        """Changes as the peer takes what waits."""
        return len(self.waiting), self._sent

    def write(self, data: bytes) -> None:
        """Send `data` behind whatever waits."""
        if self._waits_for == "closed":
            return
        if not self.waiting:
            try:
                sent = os.write(self._descriptor, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._broken()
                return
            if sent == len(data):
                return
            self._sent = sent
        self.waiting.append(data)
        self.waiting_bytes += len(data)
        self._budget.charge(len(data))
        if not self._waits_for:
            self._watch()

    def write_chunks(self, chunks: list[Chunk]) -> None:
        """Send an answer that holds slices of files."""
        if self._waits_for == "closed":
            release(chunks)
            return
        if not self.waiting:
            chunks = _copy_short(chunks)
            if len(chunks) == 1 and isinstance(chunks[0], bytes):
                self.write(chunks[0])
                return
        self.waiting.extend(chunks)
        held = sum(len(chunk) for chunk in chunks if isinstance(chunk, bytes))
        self.waiting_bytes += held
        self._budget.charge(held)
        if not self._waits_for:
            self._go_on()

    def close(self) -> None:
        """The connection is gone: let go of every slice, write no more."""
        self._unwatch()
        self._waits_for = "closed"
        release(self.waiting)
        self.waiting.clear()
        held, self.waiting_bytes = self.waiting_bytes, 0
        if held:
            self._budget.give_back(held)
        if self._duplicate is not None:
            self._duplicate.close()
            self._duplicate = None

    def _go_on(self) -> None:
        """Send from the front until done or until something must be waited for."""
        try:
            while self.waiting:
                if not self._send_first(self.waiting[0]):
                    return
        except BlockingIOError:
            self._watch()
            return
        except OSError:
            self._broken()
            return
        self._unwatch()
        self._on_drained()

    def _send_first(self, chunk: Chunk) -> bool:
        """Send some of the first chunk. False: it waits for the disk."""
        left = len(chunk) - self._sent
        if isinstance(chunk, bytes):
            # What follows goes with it: else a reader wakes up for a header alone.
            sent = self._second().send(memoryview(chunk)[self._sent :], _MORE if len(self.waiting) > 1 else 0)
        else:
            position = chunk.position + self._sent
            if position >= self._warm_to:
                if not is_warm(chunk, position):
                    self._warm_up(chunk, position)
                    return False
                self._warm_to = min(chunk.position + len(chunk), position + SEND_AT_ONCE)
            left_warm = self._warm_to - position
            sent = os.sendfile(self._descriptor, chunk.handle, position, min(left, left_warm))
            if sent == 0:
                raise OSError("a slice reaches past the end of its file")
        if sent < left:
            self._sent += sent
            return True
        self._sent = self._warm_to = 0
        self.waiting.popleft()
        if isinstance(chunk, bytes):
            self.waiting_bytes -= len(chunk)
            self._budget.give_back(len(chunk))
        else:
            chunk.release()
        return True

    def _watch(self) -> None:
        if self._waits_for == "socket":
            return
        try:
            duplicate = self._second()
        except OSError:  # the process has no descriptor left: better one connection less than a broken loop
            self._broken()
            return
        self._waits_for = "socket"
        self._loop.add_writer(duplicate.fileno(), self._go_on)

    def _second(self) -> socket.socket:
        """A socket object of our own over the connection: the transport owns the first. Raises OSError."""
        if self._duplicate is None:
            self._duplicate = socket.socket(fileno=os.dup(self._descriptor))
        return self._duplicate

    def _unwatch(self) -> None:
        if self._waits_for == "socket":
            self._loop.remove_writer(self._second().fileno())
            self._waits_for = ""

    def _broken(self) -> None:
        self.close()
        self._on_broken()

    def _warm_up(self, chunk: Slice, position: int) -> None:
        """Have a cold stretch read by the pool for lagging readers; the slice stays referenced meanwhile."""
        self._unwatch()
        self._waits_for = "disk"
        chunk.retain()
        handle = chunk.handle
        end = min(chunk.position + len(chunk), position + SEND_AT_ONCE)

        def read_through() -> None:
            at = position
            while at < end:
                got = len(os.pread(handle, min(MIB, end - at), at))
                if not got:
                    break
                at += got

        def warm(_result: None, error: BaseException | None) -> None:
            chunk.release()
            if self._waits_for != "disk":
                return
            self._waits_for = ""
            if error is not None:
                self._broken()
            else:
                self._go_on()

        self._cold.submit(read_through, warm)


def is_warm(chunk: Slice, position: int) -> bool:
    """Whether the next stretch can be read without waiting for the disk, probed a byte per readahead window."""
    if not _NOWAIT:
        return True
    end = min(chunk.position + len(chunk), position + SEND_AT_ONCE)
    probe = [bytearray(1)]
    try:
        for at in range(position, end, PROBE_STEP):
            os.preadv(chunk.handle, probe, at, _NOWAIT)
        os.preadv(chunk.handle, probe, end - 1, _NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without RWF_NOWAIT (tmpfs): its pages are memory anyway
    return True


def _copy_short(chunks: list[Chunk]) -> list[Chunk]:
    """Neighbouring bytes and short warm slices become one piece: one write instead of several calls.

    A slice that cannot be read stays one: sending it finds out why.
    """
    merged: list[Chunk] = []
    run: list[bytes] = []
    for chunk in chunks:
        if isinstance(chunk, bytes):
            run.append(chunk)
        elif len(chunk) <= COPY_MAX and (data := _read_warm(chunk)) is not None:
            run.append(data)
            chunk.release()
        else:
            if run:
                merged.append(b"".join(run))
                run = []
            merged.append(chunk)
    if run:
        merged.append(b"".join(run))
    return merged


def _read_warm(chunk: Slice) -> bytes | None:
    """The whole slice, or None if it is cold, or cannot be read."""
    if not is_warm(chunk, chunk.position):
        return None
    try:
        data = chunk.read()
    except OSError:
        return None
    return data if len(data) == len(chunk) else None


def release(chunks: Iterable[Chunk]) -> None:
    """Let go of the slices among `chunks`."""
    for chunk in chunks:
        if not isinstance(chunk, bytes):
            chunk.release()
