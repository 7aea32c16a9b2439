"""A log directory on a memory disk whose loop, clock and workers move only when a test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from moldau.core.base.clock import ManualClock
from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.workers import Done, Work
from moldau.core.log.config import DirectoryConfig, LogConfig
from moldau.core.log.directory import LogDirectory, Workers
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.producers import Duplicate
from tests.support.log_batches import make_batch
from tests.support.memory_files import FaultyFiles, MemoryFiles

ROOT = "/data"
TOPIC_ID = bytes(range(16))


class ManualWorker:
    """Keeps what it is given until `run`: a slow disk, at will."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Work, Done]] = deque()
        self.closed = False

    def submit(self, work: Work, done: Done) -> None:
        self.waiting.append((work, done))

    def close(self) -> None:
        self.closed = True

    def run(self, count: int = 1 << 30) -> int:
        """Do up to `count` works, those that come meanwhile too; returns how many."""
        done_works = 0
        while self.waiting and done_works < count:
            work, done = self.waiting.popleft()
            result, failure = None, None
            try:
                result = work()
            except Exception as error:
                failure = error
            done(result, failure)
            done_works += 1
        return done_works


class Heard:
    """A listener that writes down what it hears."""

    def __init__(self, log: PartitionLog) -> None:
        self.log = log
        self.calls: list[tuple[str, int]] = []
        log.listener = self

    def on_written(self) -> None:
        self.calls.append(("written", self.log.written_offset))

    def on_synced(self) -> None:
        self.calls.append(("synced", self.log.synced_offset))

    def on_failed(self, error: ErrorCode) -> None:
        self.calls.append((error.name, self.log.end_offset))


class Rig:
    """See the module. `files` is a `FaultyFiles` around `disk`.

    While `eager`, the write worker does at once what the loop gave it in a turn.
    """

    def __init__(self, config: DirectoryConfig | None = None, defaults: LogConfig | None = None) -> None:
        self.disk = MemoryFiles()
        self.files: Any = FaultyFiles(self.disk)
        self.eager = True
        self.clock = ManualClock()
        self.disk.now_ms = self.clock.wall_ms()
        self.config = config if config is not None else DirectoryConfig()
        self.defaults = defaults if defaults is not None else LogConfig()
        self.open()

    def open(self) -> LogDirectory:
        """A new process on the same disk."""
        self.calls: deque[Callable[[], None]] = deque()
        self.write, self.sync, self.background, self.chores = (ManualWorker() for _ in range(4))
        self.directory = LogDirectory(
            ROOT,
            self.files,
            self.clock,
            self.config,
            workers=Workers(self.write, self.sync, self.background, self.chores),
            call_soon=self.calls.append,
            defaults=self.defaults,
        )
        self.directory.random = lambda size: bytes(size)
        self.directory.open()
        return self.directory

    def log(self, topic: str = "orders", partition: int = 0, config: LogConfig | None = None) -> PartitionLog:
        """The log, made if it is not there."""
        found = self.directory.logs.get((topic, partition))
        if found is None:
            found = self.directory.create_log(topic, partition, TOPIC_ID, config or self.defaults)
        elif config is not None:
            found.reconfigure(config)
        return found

    def turn(self) -> None:
        """One turn of the loop: what was called soon, and nothing of the workers but eager writes."""
        for _ in range(len(self.calls)):
            self.calls.popleft()()
        if self.eager:
            self.write.run()

    def settle(self) -> None:
        """Until nothing is left to do."""
        while self.calls or any(worker.waiting for worker in (self.write, self.sync, self.background, self.chores)):
            self.turn()
            for worker in (self.write, self.sync, self.background, self.chores):
                worker.run()

    def shut_down(self) -> None:
        """An orderly end."""
        pending = self.directory.shut_down()
        self.settle()
        assert pending.value is True
        self.directory.close()

    def kill(self) -> LogDirectory:
        """The process ends, written bytes stay; a new one opens the directory."""
        self.disk.kill()
        return self.open()

    def crash(self, seed: int | None = None) -> LogDirectory:
        """The power fails; a new process opens the directory."""
        self.disk.crash(seed)
        return self.open()


def append(log: PartitionLog, values: list[bytes], epoch: int = 0, **options: Any) -> int:
    """Append one batch that must be taken; its base offset."""
    outcome = log.append(make_batch(values, **options), epoch)
    assert not isinstance(outcome, Refusal | Duplicate), outcome
    return outcome


def stored(log: PartitionLog, upto: int | None = None) -> list[bytes]:
    """The batches of a log, from its start to `upto` (its written end)."""
    return list(log.batches(log.start_offset, log.written_offset if upto is None else upto))
