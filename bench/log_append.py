"""What one append, one write and a scan of the log cost: `python bench/log_append.py`.

Prints microseconds (best of some rounds, so that a busy machine shows less). Not part of `make bench`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any

from moldau.core.base.clock import SystemClock
from moldau.core.base.files import OsFiles
from moldau.core.base.workers import InlineWorker
from moldau.core.log.config import PAGE_CACHE, DirectoryConfig, LogConfig
from moldau.core.log.directory import LogDirectory, Workers
from moldau.core.log.headers import BatchScan
from tests.support.log_batches import Sender, make_batch

ROUNDS = 7
APPENDS = 5_000


class _NoWorker:
    """Takes work and never does it: only the loop's share is measured."""

    def submit(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        pass

    def close(self) -> None:
        pass


def main() -> None:
    root = tempfile.mkdtemp(prefix="moldau-bench-")
    try:
        _append(root)
        _scan(root)
    finally:
        shutil.rmtree(root)


def _append(root: str) -> None:
    calls: list[Callable[[], None]] = []
    worker = _NoWorker()
    workers = Workers(InlineWorker(), worker, worker, worker)
    directory = LogDirectory(root, OsFiles(), SystemClock(), DirectoryConfig(), workers=workers, call_soon=calls.append)
    directory.open()
    now = time.time_ns() // 1_000_000
    for kind, idempotent in (("plain", False), ("idempotent", True)):
        for per_turn in (1, 10, 100):
            best_append = best_flush = 1e9
            for turn in range(ROUNDS):
                name = f"{kind}-{per_turn}-{turn}"
                log = directory.create_log(name, 0, bytes(16), LogConfig(durability=PAGE_CACHE))
                batches = [memoryview(_batch(now, n, idempotent)) for n in range(APPENDS)]
                appending = flushing = 0.0
                for start in range(0, APPENDS, per_turn):
                    begun = time.perf_counter()
                    for batch in batches[start : start + per_turn]:
                        log.append(batch, 1)
                    appended = time.perf_counter()
                    while calls:
                        calls.pop()()
                    flushing += time.perf_counter() - appended
                    appending += appended - begun
                best_append = min(best_append, appending / APPENDS)
                best_flush = min(best_flush, flushing / APPENDS * per_turn)
            print(
                f"{kind:12} {per_turn:4} a turn: append {best_append * 1e6:5.2f} us, "
                f"write {best_flush * 1e6:6.2f} us a turn"
            )
    directory.close()


def _batch(now: int, n: int, idempotent: bool) -> bytes:
    if idempotent:
        return make_batch([b"x" * 100], timestamp=now, sender=Sender(7, 0, n))
    return make_batch([b"x" * 100], timestamp=now)


def _scan(root: str) -> None:
    files = OsFiles()
    for size in (100, 16_000):
        handle = files.open_append(f"{root}/scan-{size}")
        batch = make_batch([b"x" * size])
        wanted = 64 << 20
        many = [batch] * (1 + (1 << 20) // len(batch))
        written = 0
        offset = 0
        while written < wanted:
            group = [offset_batch(batch, offset + n) for n in range(min(len(many), 1000))]
            offset += len(group)
            written += files.writev(handle, group)
        begun = time.perf_counter()
        count = sum(1 for _ in BatchScan(files, handle, 0, written, check=True))
        taken = time.perf_counter() - begun
        print(f"scan of 64 MB in batches of {len(batch)} B: {taken * 1e3:.0f} ms, {count} batches")
        files.close(handle)


def offset_batch(batch: bytes, offset: int) -> bytes:
    return offset.to_bytes(8, "big") + batch[8:]


if __name__ == "__main__":
    main()
