"""A broker as a process: loop, signals, the one line that says `ready`, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from moldau.core.base.errors import ConfigError
from moldau.core.server.broker import Broker
from moldau.core.server.configs import Configs, configs_from

EXIT_OK = 0
EXIT_FAILED = 1

# A young collection costs ten microseconds or so; rarer ones keep long pauses off the data path, whose own objects
# hold no cycles.
GC_THRESHOLDS = (50_000, 20, 100)

FILES_WANTED = 1 << 20

# glibc's numbers of the two settings (malloc.h).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEPT_FREE_BYTES = 48 << 20
MAPPED_FROM_BYTES = 8 << 20

log = logging.getLogger("moldau.server")


def serve(settings: Mapping[str, str]) -> int:
    """Run a broker with `settings` (texts by Kafka's key) until SIGTERM or SIGINT; returns the exit code.

    Raises ConfigError and StorageError for what cannot be started; nothing was changed on the disk then, but for
    a fresh directory that may have been formatted.
    """
    configs = configs_from(settings)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    allow_many_files()
    keep_freed_memory(ctypes.CDLL(None))
    with asyncio.Runner(loop_factory=loop_factory(configs.broker.loop)) as runner:
        return runner.run(_serve(configs))


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """The loop that `moldau.event.loop` asks for; uvloop where it exists unless told otherwise."""
    if name in ("auto", "uvloop"):
        try:
            import uvloop
        except ImportError:
            if name == "uvloop":
                raise ConfigError("moldau.event.loop is uvloop, which is not installed: pip install uvloop") from None
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def allow_many_files() -> None:
    """Raise the soft limit of open files as far as the system lets us: connections and partitions each hold one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_freed_memory(libc: Any) -> bool:
    """Have glibc keep some freed memory, and take batches from it; False where there is no such setting.

    By default each batch of a megabyte is mapped, faulted in and unmapped again: half of a bulk produce's CPU.
    """
    if not hasattr(libc, "mallopt"):
        return False
    return bool(libc.mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES) and libc.mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES))


async def _serve(configs: Configs) -> int:
    broker = Broker(configs)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await broker.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    addresses = ", ".join(str(endpoint) for endpoint in broker.endpoints)
    print(f"moldau is ready: {addresses}", file=sys.stderr, flush=True)  # noqa: T201 - the line scripts wait for
    failed = await _first(stop.wait(), broker.failed.wait())
    if failed:
        log.error("stopping: no log directory is left to write to")
    else:
        log.info("stopping")
    clean = await broker.stop()
    return EXIT_OK if clean and not failed else EXIT_FAILED


async def _first(stop: Coroutine[Any, Any, Any], failed: Coroutine[Any, Any, Any]) -> bool:
    """Wait for one of the two; True if it was the second."""
    tasks = [asyncio.ensure_future(stop), asyncio.ensure_future(failed)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    outcome = tasks[1].done()
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return outcome
