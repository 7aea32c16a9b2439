"""Work that must not run on the loop, as an argument.

Only calls that release the GIL belong on a `ThreadWorker` (decision D12). `done` always runs on the
loop, with the result or the exception; `InlineWorker` is for tests and simulation.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

Work = Callable[[], Any]
Done = Callable[[Any, BaseException | None], None]


class Worker(Protocol):
    """Runs `work` somewhere, then `done(result, error)` on the loop."""

    def submit(self, work: Work, done: Done) -> None: ...

    def close(self) -> None:
        """Finish what was submitted, then stop. Blocks; `done` of the last works may still be queued on the loop."""


class InlineWorker:
    """Runs everything at once, in the caller."""

    def submit(self, work: Work, done: Done) -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed on to `done`, as a thread would
            done(None, error)
        else:
            done(result, None)

    def close(self) -> None:
        """Nothing is ever left."""


class ThreadWorker:
    """A small pool of daemon threads that hands results back to one loop.

    concurrent.futures would do the same at three times the cost a hop: it makes a future, a condition
    and a work item for each call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, threads: int = 1) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[Work, Done] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work, done: Done) -> None:
        self._queue.put((work, done))

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            work, done = item
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed on to `done`; the thread must live
                failure = error
            try:
                self._loop.call_soon_threadsafe(done, result, failure)
            except RuntimeError:
                return  # the loop is closed: nobody waits for this any more
