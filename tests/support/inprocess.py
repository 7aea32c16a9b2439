"""A broker inside the test process: on a loop of its own in a thread, so that a test can look inside and hold its disk.

Tests talk to it over real sockets (`wire.Wire`). What needs its own process (signals, exit codes) is `broker.py`'s.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from moldau.core.base.clock import Clock
from moldau.core.base.files import Files, OsFiles
from moldau.core.server.broker import Broker
from moldau.core.server.configs import configs_from
from moldau.core.server.run import loop_factory
from tests.support.wire import Wire

T = TypeVar("T")

SETTINGS = {"listeners": "PLAINTEXT://127.0.0.1:0", "group.initial.rebalance.delay.ms": "0"}


class HeldFiles(OsFiles):
    """A disk whose syncs wait while `hold()` is in force, and fail after `break_syncs`."""

    def __init__(self) -> None:
        super().__init__()
        self._go = threading.Event()
        self._go.set()
        self._error: OSError | None = None

    def hold(self) -> None:
        self._go.clear()

    def release(self) -> None:
        self._go.set()

    def break_syncs(self, error: OSError) -> None:
        self._error = error

    def sync_data(self, handle: int) -> None:
        self._wait()
        super().sync_data(handle)

    def sync_filesystem(self, handle: int) -> None:
        self._wait()
        super().sync_filesystem(handle)

    def _wait(self) -> None:
        self._go.wait(30.0)
        if self._error is not None:
            raise self._error


class InProcess:
    """A broker and its thread. As a context manager it is started, and stopped in order, at most once."""

    def __init__(
        self,
        directory: Path,
        settings: dict[str, str] | None = None,
        *,
        files: Files | None = None,
        clock: Clock | None = None,
        loop: str = "auto",
    ) -> None:
        self._settings = {"log.dirs": str(directory), **SETTINGS, **(settings or {})}
        self._files = files
        self._clock = clock
        self._loop_kind = loop
        self._loop: asyncio.AbstractEventLoop
        self._started = threading.Event()
        self._stop: asyncio.Event
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self.broker: Broker
        self.host = "127.0.0.1"
        self.port = 0
        self.clean = False
        self.errors: list[str] = []  # what the loop caught because nobody else did

    def start(self) -> None:
        """Raises whatever the broker's start raised."""
        self._thread.start()
        self._started.wait(30.0)
        if self._problem is not None:
            self._thread.join()
            raise self._problem

    def stop(self) -> bool:
        """An orderly stop; whether it was clean."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30.0)
            assert not self._thread.is_alive(), "the broker did not stop"
        return self.clean

    def on_loop(self, call: Callable[[], T]) -> T:
        """Run `call` on the broker's loop; its result."""

        async def run() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30.0)

    def turns(self, count: int = 3) -> None:
        """Let the loop go round, so that what was sent to it is read and what it put off is done."""
        for _ in range(count):
            self.on_loop(lambda: None)

    def connect(self, client_id: str = "test") -> Wire:
        return Wire(self.host, self.port, client_id=client_id)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=loop_factory(self._loop_kind)) as runner:
            try:
                runner.run(self._serve())
            except BaseException as error:
                self._problem = error
            finally:
                self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _loop, context: self.errors.append(str(context)))
        self._stop = asyncio.Event()
        self.broker = Broker(configs_from(self._settings), files=self._files, clock=self._clock)
        await self.broker.start()
        self.port = self.broker.endpoints[0].port
        self._started.set()
        await self._stop.wait()
        self.clean = await self.broker.stop()
