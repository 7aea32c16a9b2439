"""Sync rounds of one log directory: one after the other, each for everything that was written before it began.

Lives here: what a round covers, how it reaches the disk, and what its end means. Two sets of rounds exist
side by side: one for logs whose appends wait for it, one for page-cache logs (rolls, flush.messages), so
that a gigabyte of the latter does not delay the former.

Crash story: a partition's synced offset moves only after its own files, the directory entries that lead to
them and its leader epochs are on the disk. A sync that failed is never tried again: the kernel has dropped
what it could not write, and a second call would report success for data that is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from moldau.core.base.clock import Clock
from moldau.core.base.files import Files
from moldau.core.base.workers import Worker
from moldau.core.log.checkpoints import encode_epochs, encode_partition_metadata, replace_unsynced
from moldau.core.log.config import DirectoryConfig
from moldau.core.log.names import EPOCHS_FILE, PARTITION_FILE
from moldau.core.log.segment import OpenFile

if TYPE_CHECKING:
    from moldau.core.log.partition_log import PartitionLog
    from moldau.core.log.stored import Place

logger = logging.getLogger(__name__)


# Producers that wait for each answer come back together, a little after a round answered them. A round that begins at
# once leaves them to the next one, so that each waits for two. After a small round the next begins only when as much
# has come as was answered, or when nothing came for some loop turns, or after a millisecond; after a large one at
# once, because then the loop has enough to do while it runs.
GATHER_MAX = 4096
GATHER_TURNS = 32
GATHER_MS = 1


class _Covered(NamedTuple):
    log: PartitionLog
    offset: int
    place: Place
    generation: int
    epochs_version: int


class SyncPlan(NamedTuple):
    """What one round does on the worker: nothing but files."""

    handles: list[int]
    directories: list[str]
    contents: list[tuple[str, bytes]]
    filesystem: int | None  # a handle to sync the whole file system by, instead of each file


class SyncRounds:
    """See the module. All methods run on the loop, `run_plan` on the worker."""

    def __init__(
        self, files: Files, clock: Clock, config: DirectoryConfig, worker: Worker, root: str, root_handle: int
    ) -> None:
        self._files = files
        self._clock = clock
        self._config = config
        self._worker = worker
        self._root = root
        self._root_handle = root_handle
        self.by_filesystem_at = filesystem_threshold(files, config)
        self._wanted: dict[PartitionLog, None] = {}
        self.running: list[_Covered] | None = None
        self._started_ms = 0
        self._held: list[OpenFile] = []
        self._running_bytes = 0
        self._new_bytes = 0
        self.unsynced_bytes = 0  # written, and waiting for a round to end
        self.stopped = False
        self.saves_epochs = True
        self.call_soon: Callable[[Callable[[], None]], object] | None = None  # None: rounds never wait for company
        self._gather_bytes = 0  # the next round would rather begin with this much
        self._gather_turns = 0  # but waits no more loop turns than this
        self._polling = False
        self._done_ms = 0
        self.on_round: Callable[[], None] = _nothing
        self.on_failure: Callable[[str], None] = _complain
        self.rounds = 0

    @property
    def idle(self) -> bool:
        return self.running is None and not self._wanted

    def age_ms(self) -> int:
        """How long the running round has taken so far; 0 when none runs."""
        return self._clock.monotonic_ms() - self._started_ms if self.running is not None else 0

    def add(self, log: PartitionLog, size: int) -> None:
        """`size` more bytes of `log` are written and wait for a round."""
        self._wanted[log] = None
        self._new_bytes += size
        self.unsynced_bytes += size
        self._gather_turns = GATHER_TURNS

    def request(self, log: PartitionLog) -> None:
        """Let the next round cover `log`."""
        self._wanted[log] = None

    def start(self) -> None:
        """Begin a round over everything that waits for one, unless one runs."""
        if not self._wanted or self.running is not None or self.stopped:
            return
        if self._new_bytes < self._gather_bytes and self._waits_for_company():
            return
        try:
            self._borrow(self._wanted)
        except OSError as error:
            logger.warning("%s: the sync has to wait, a file cannot be opened: %s", self._root, error)
            return
        wanted, self._wanted = self._wanted, {}
        self._running_bytes, self._new_bytes = self._new_bytes, 0
        self.running = [
            _Covered(log, log.written_offset, log.written_at, log.generation, log.leader_epochs.version)
            for log in wanted
        ]
        self._started_ms = self._clock.monotonic_ms()
        self.rounds += 1
        self._worker.submit(partial(run_plan, self._files, self._plan(wanted)), self._done)

    def _waits_for_company(self) -> bool:
        """Whether who was just answered may still come back in time for this round."""
        if self.call_soon is None or self._polling:
            return self._polling
        if self._gather_turns <= 0 or self._clock.monotonic_ms() - self._done_ms > GATHER_MS:
            self._gather_bytes = 0
            return False
        self._gather_turns -= 1
        self._polling = True
        self.call_soon(self._poll)
        return True

    def _poll(self) -> None:
        self._polling = False
        self.start()

    def sync_now(self, logs: list[PartitionLog]) -> None:
        """Sync what recovery found, before the loop serves anybody. Blocks. Raises OSError."""
        self._borrow(logs)
        try:
            run_plan(self._files, self._plan(logs))
        finally:
            self._give_back()
        for log in logs:
            log.synced_offset, log.synced_at = log.written_offset, log.written_at
            log.leader_epochs.saved_version = log.leader_epochs.version

    def forget(self, log: PartitionLog) -> None:
        """`log` was deleted."""
        self._wanted.pop(log, None)

    def _borrow(self, logs: Iterable[PartitionLog]) -> None:
        """Hold every file that is to be synced. Raises OSError, and holds none then."""
        try:
            for log in logs:
                for segment in log.unsynced:
                    self._held.append(segment.borrowed())
        except OSError:
            self._give_back()
            raise

    def _give_back(self) -> None:
        held, self._held = self._held, []
        for file in held:
            file.release()

    def _plan(self, logs: Iterable[PartitionLog]) -> SyncPlan:
        directories: dict[str, None] = {}
        contents: list[tuple[str, bytes]] = []
        for log in logs:
            for segment in log.unsynced:
                if not segment.durable:
                    segment.durable = True
                    directories[log.directory] = None
                    if segment is log.segments[0]:
                        directories[self._root] = None
                        contents.append((f"{log.directory}/{PARTITION_FILE}", encode_partition_metadata(log.topic_id)))
            log.unsynced.clear()
            if self.saves_epochs and not log.leader_epochs.saved and log.written_offset > log.segments[0].base_offset:
                contents.append((f"{log.directory}/{EPOCHS_FILE}", encode_epochs(log.leader_epochs.entries)))
        handles = [file.handle for file in self._held]
        many = len(handles) + len(directories) + 2 * len(contents) > self.by_filesystem_at
        return SyncPlan(handles, list(directories), contents, self._root_handle if many else None)

    def _done(self, _: object, failure: BaseException | None) -> None:
        self._give_back()
        covered, self.running = self.running or [], None
        answered, self._running_bytes = self._running_bytes, 0
        self.unsynced_bytes -= answered
        if self.stopped:
            return
        if failure is not None:
            self.stopped = True
            self.on_failure(f"{self._root}: syncing failed: {failure}")
            return
        moved: list[PartitionLog] = []
        for log, offset, place, generation, epochs_version in covered:
            if generation != log.generation:
                continue  # it was cut meanwhile
            newer = self.saves_epochs and epochs_version > log.leader_epochs.saved_version
            if newer and offset > log.segments[0].base_offset:
                log.leader_epochs.saved_version = epochs_version
            if offset > log.synced_offset:
                log.synced_offset = offset
                log.synced_at = place
                moved.append(log)
        self._gather_bytes = self._new_bytes + answered if answered <= GATHER_MAX else 0
        self._gather_turns = GATHER_TURNS
        self._done_ms = self._clock.monotonic_ms()
        if self._gather_bytes == 0:
            self.start()  # the next round runs while the answers of this one are written
        for log in moved:
            if log.listener is not None:
                log.listener.on_synced()
        self.on_round()
        self.start()


def run_plan(files: Files, plan: SyncPlan) -> None:
    """Bring a round's files to the disk. Raises OSError."""
    if plan.filesystem is not None:
        for path, content in plan.contents:
            replace_unsynced(files, path, content)
        files.sync_filesystem(plan.filesystem)
        return
    for path, content in plan.contents:
        files.write_file(path, content)
    for handle in plan.handles:
        files.sync_data(handle)
    for directory in plan.directories:
        files.sync_directory(directory)


def filesystem_threshold(files: Files, config: DirectoryConfig) -> int:
    """Beyond how many files the file system is synced as a whole."""
    if config.sync_method == "fdatasync":
        return 1 << 62
    if config.sync_method == "syncfs":
        return 0
    # Before Linux 5.8 syncfs keeps quiet about pages it could not write.
    return config.sync_files_max if files.filesystem_sync_reports_errors() else 1 << 62


def _nothing() -> None:
    """Nobody waits for rounds."""


def _complain(problem: str) -> None:
    logger.critical("%s", problem)
