"""Checkpoints of one log directory: how far a start after a crash may trust its logs without scanning them.

Lives here: when a checkpoint is taken, what it holds, and in which order its files are written. Two kinds of points:

* the written point survives the end of the process, not of the machine: it is only believed in the same run of
  the operating system (boot id), so it costs no sync. It bounds what a start after `kill -9` scans.
* the recovery point (Kafka's file) survives a power loss: only synced offsets, and written with a sync.

Order, each step after the one before it is done: index entries and producer snapshots; then, of logs whose
appends wait for the disk, their own sync; then the recovery points (now and then); then the written points.
A crash between two steps leaves the older points, and every file they refer to.

    0                                   version, as in Kafka's checkpoints
    3                                   number of lines
    9f0c... 1912387155                  boot id, CRC-32C of the recovery point file beside it
    orders 0 4711                       topic, partition, offset
    orders 1 4712
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import google_crc32c

from moldau.core.base.errors import CorruptData
from moldau.core.base.files import Files
from moldau.core.base.workers import Worker
from moldau.core.log.checkpoints import Offsets, decode_lines, encode_lines, encode_offsets, replace_unsynced
from moldau.core.log.config import DirectoryConfig
from moldau.core.log.index import SparseIndex
from moldau.core.log.names import RECOVERY_POINTS_FILE, SNAPSHOT_SUFFIX, WRITTEN_POINTS_FILE, segment_file
from moldau.core.log.segment import Segment

if TYPE_CHECKING:
    from moldau.core.log.partition_log import PartitionLog

logger = logging.getLogger(__name__)

# Logs looked at in one loop turn.
_SLICE = 64

NEVER = 1 << 62

Key = tuple[str, int]


class Capture(NamedTuple):
    """What one log has for a checkpoint: bytes for its files, all of them about what lies below `offset`."""

    log: PartitionLog
    offset: int
    generation: int
    segments: list[Segment]
    indexes: Sequence[tuple[SparseIndex, int, bytes]]  # index, position in its file, entries
    snapshots: list[tuple[int, bytes]]

    @property
    def paths(self) -> list[str]:
        """The files that get something."""
        paths = [index.path for index, _, _ in self.indexes]
        return [*paths, snapshot_path(self.log.directory, self.offset)]


def capture(log: PartitionLog) -> Capture:
    """Take what a checkpoint at `written_offset` needs; no batch beyond it has left a trace in that."""
    offset = log.written_offset
    segments = [segment for segment in log.unindexed if segment.base_offset < offset]
    indexes = [
        (index, index.flushed * index.layout.size, index.unflushed(offset))
        for segment in segments
        for index in (segment.offsets, segment.times)
    ]
    log.unindexed.clear()
    snapshots = [snapshot for snapshot in log.snapshots if snapshot[0] < offset]
    snapshots.append((offset, log.snapshot_at_written()))
    return Capture(log, offset, log.generation, segments, indexes, snapshots)


def write_captures(files: Files, captures: list[Capture]) -> list[OSError | None]:
    """On the worker: index entries and snapshots of each log; a log whose files fail keeps its older point."""
    errors: list[OSError | None] = []
    for taken in captures:
        try:
            for index, position, content in taken.indexes:
                write_at(files, index.path, position, content)
            for offset, snapshot in taken.snapshots:
                replace_unsynced(files, snapshot_path(taken.log.directory, offset), snapshot)
        except OSError as error:
            errors.append(error)
        else:
            errors.append(None)
    return errors


def write_at(files: Files, path: str, position: int, content: bytes) -> None:
    """Write `content` at `position` and cut the file behind it; the file is made even for nothing."""
    handle = files.open_write(path)
    try:
        if content:
            files.pwrite(handle, content, position)
        files.truncate(handle, position + len(content))
    finally:
        files.close(handle)


def settle(taken: Capture) -> None:
    """On the loop: the files have `taken`."""
    log = taken.log
    if taken.generation != log.generation:
        # The log was cut while the worker wrote: what it put behind the cut must not stay.
        for index, _, _ in taken.indexes:
            index.trim_file()
        return
    for index, _, content in taken.indexes:
        index.mark_flushed(len(content))
    for offset, _ in taken.snapshots:
        log.snapshot_offsets[offset] = None
    written = {offset for offset, _ in taken.snapshots}
    log.snapshots = [snapshot for snapshot in log.snapshots if snapshot[0] not in written]


def snapshot_path(directory: str, offset: int) -> str:
    """The file of a producer snapshot."""
    return f"{directory}/{segment_file(offset, SNAPSHOT_SUFFIX)}"


def sync_paths(files: Files, paths: list[str], filesystem: int | None) -> None:
    """Bring files to the disk, each by itself, or all by `filesystem`, a handle on theirs. Raises OSError."""
    if filesystem is not None:
        files.sync_filesystem(filesystem)
        return
    directories: dict[str, None] = {}
    for path in paths:
        if not files.exists(path):
            continue  # a snapshot that a newer one replaced, or a segment that went
        handle = files.open_write(path)
        try:
            files.sync_data(handle)
        finally:
            files.close(handle)
        directories[path[: path.rindex("/")]] = None
    for directory in directories:
        files.sync_directory(directory)


def encode_written_points(boot_id: str, recovery_points: bytes, points: Offsets) -> bytes:
    """The file of the written points, valid beside `recovery_points` (that file's content) and in this boot."""
    head = f"{boot_id} {google_crc32c.value(recovery_points)}"
    return encode_lines([head, *(f"{topic} {partition} {offset}" for (topic, partition), offset in points.items())])


def read_written_points(files: Files, root: str) -> dict[Key, int]:
    """The written points, or nothing when they cannot be believed."""
    path = f"{root}/{WRITTEN_POINTS_FILE}"
    boot_id = files.boot_id()
    if not boot_id or not files.exists(path):
        return {}
    recovery = f"{root}/{RECOVERY_POINTS_FILE}"
    content = files.read_file(recovery) if files.exists(recovery) else b""
    try:
        (boot, checksum), *lines = decode_lines(files.read_file(path))
        if boot != boot_id or int(checksum) != google_crc32c.value(content):
            return {}
        return {(topic, int(partition)): int(offset) for topic, partition, offset in lines}
    except (CorruptData, ValueError) as error:
        logger.warning("%s is not used: %s", path, error)
        return {}


class Exposure:
    """What a crash would leave to scan, as plain counters that the writer raises and checkpoints answer."""

    __slots__ = ("cost", "due", "vouched", "written")

    def __init__(self) -> None:
        self.written = 0  # bytes, since the directory was opened
        self.vouched = 0  # as of the last checkpoint that is done
        self.cost = 0  # bytes, and what the batches count beyond them
        self.due = NEVER  # the cost at which the next checkpoint is taken


class Checkpoints:
    """Takes them, one after the other. All methods run on the loop."""

    def __init__(
        self,
        files: Files,
        config: DirectoryConfig,
        worker: Worker,
        root: str,
        call_soon: Callable[..., object],
        exposure: Exposure,
    ) -> None:
        self._files = files
        self._config = config
        self._worker = worker
        self._root = root
        self._call_soon = call_soon
        self._boot_id = files.boot_id()
        self._exposure = exposure
        self._recovery_due = config.recovery_checkpoint_bytes
        self._captured_written = 0
        self._captured_cost = 0
        self._todo: list[PartitionLog] = []
        self._written: list[Capture] = []
        self._unpromoted: dict[PartitionLog, dict[str, None]] = {}  # files that no recovery point vouches for yet
        self._stage = "idle"
        self._force_recovery = False
        self._recovery_content = b""
        self.recovery_points: dict[Key, int] = {}
        self.written_points: dict[Key, int] = {}
        self.filesystem_handle: int | None = None
        self.by_filesystem_at = 0
        self.logs: Callable[[], list[PartitionLog]] = list
        self.on_failure: Callable[[str], None] = _complain
        self.on_idle: Callable[[], None] = _nothing
        self.stopped = False
        self.taken = 0

    @property
    def idle(self) -> bool:
        return self._stage == "idle"

    def start(self, scanned: int, recovery: Offsets, written: Offsets) -> None:
        """Go on from what the directory held when it was opened, where `scanned` bytes had to be scanned."""
        exposure = self._exposure
        exposure.vouched = -scanned
        exposure.cost = scanned
        exposure.due = self._config.checkpoint_bytes
        self.recovery_points = dict(recovery)
        self.written_points = dict(written)
        path = f"{self._root}/{RECOVERY_POINTS_FILE}"
        self._recovery_content = self._files.read_file(path) if self._files.exists(path) else b""

    def take(self, *, recovery: bool = False) -> None:
        """Take one now; `recovery`: with recovery points, however little was written."""
        self._force_recovery = self._force_recovery or recovery
        if self._stage != "idle" or self.stopped:
            return
        self._stage = "capture"
        exposure = self._exposure
        exposure.due = NEVER
        self._captured_written, self._captured_cost = exposure.written, exposure.cost
        self._todo = [log for log in self.logs() if log.unindexed]
        self._capture_some()

    def forget(self, log: PartitionLog) -> None:
        """`log` was deleted."""
        key = (log.topic, log.partition)
        self._unpromoted.pop(log, None)
        self.recovery_points.pop(key, None)
        self.written_points.pop(key, None)

    def lower(self, log: PartitionLog, offset: int) -> None:
        """`log` is about to be cut at `offset`: no point may vouch for what comes behind it. Raises OSError."""
        key = (log.topic, log.partition)
        self.written_points.pop(key, None)
        if self.recovery_points.get(key, 0) > offset:
            self.recovery_points[key] = offset
            self._recovery_content = encode_offsets(self.recovery_points)
            self._files.write_file(f"{self._root}/{RECOVERY_POINTS_FILE}", self._recovery_content)
        replace_unsynced(self._files, f"{self._root}/{WRITTEN_POINTS_FILE}", self._encode_points())

    def round_done(self) -> None:
        """A sync round ended: a checkpoint may have waited for it."""
        if self._stage == "sync":
            self._write_points_when_synced()

    def _capture_some(self) -> None:
        part, self._todo = self._todo[:_SLICE], self._todo[_SLICE:]
        captures: list[Capture] = []
        for log in part:
            if log.offline or log.deleted:
                continue
            if log.epochs_under_way or not log.leader_epochs.saved:
                continue  # its epochs are on their way: the next checkpoint takes it
            captures.append(capture(log))
        self._worker.submit(partial(write_captures, self._files, captures), partial(self._captured, captures))

    def _captured(self, captures: list[Capture], errors: list[OSError | None] | None, failure: object) -> None:
        if self.stopped:
            self._end()
            return
        for taken, error in zip(captures, errors or [OSError(str(failure))] * len(captures), strict=True):
            if error is None:
                settle(taken)
                self._written.append(taken)
            elif not taken.log.deleted:
                logger.warning("%s: its checkpoint has to wait: %s", taken.log.directory, error)
                taken.log.unindexed.update(dict.fromkeys(taken.segments))
        if self._todo:
            self._call_soon(self._capture_some)
            return
        self._stage = "sync"
        self._write_points_when_synced()

    def _write_points_when_synced(self) -> None:
        ready: list[Capture] = []
        for taken in self._written:
            log = taken.log
            if log.deleted or log.offline or taken.generation != log.generation:
                continue
            if log.durable and log.synced_offset < taken.offset:
                return  # the round that covers it is still to end
            ready.append(taken)
        self._written = []
        self._stage = "points"
        for taken in ready:
            log = taken.log
            self.written_points[log.topic, log.partition] = taken.offset
            self._unpromoted.setdefault(log, {}).update(dict.fromkeys(taken.paths))
        recovery = self._force_recovery or self._exposure.cost >= self._recovery_due
        before = self._recovery_content
        paths = self._promote() if recovery else []
        # Nothing was synced since the last time (page-cache logs sync at rolls only): then there is nothing to write,
        # and no sync that the next writes would have to wait for.
        recovery = recovery and self._recovery_content != before
        filesystem = self.filesystem_handle if len(paths) > self.by_filesystem_at else None
        points = self._encode_points()
        content = self._recovery_content if recovery else None
        stale = [path for taken in ready for path in self._stale_snapshots(taken.log)]
        work = partial(_write_points, self._files, self._root, (paths, filesystem), content, points, stale)
        self._worker.submit(work, self._points_written)

    def _promote(self) -> list[str]:
        """Raise the recovery points to what is synced and checkpointed; the files that have to be synced for that."""
        self._force_recovery = False
        self._recovery_due = self._exposure.cost + self._config.recovery_checkpoint_bytes
        paths: list[str] = []
        for log, unsynced in list(self._unpromoted.items()):
            key = (log.topic, log.partition)
            point = min(log.synced_offset, self.written_points.get(key, 0))
            if log.deleted or point >= self.written_points.get(key, 0):
                del self._unpromoted[log]
            if not log.deleted and point > self.recovery_points.get(key, 0):
                self.recovery_points[key] = point
                paths += unsynced
        self._recovery_content = encode_offsets(self.recovery_points)
        return paths

    def _encode_points(self) -> bytes:
        return encode_written_points(self._boot_id, self._recovery_content, self.written_points)

    def _stale_snapshots(self, log: PartitionLog) -> list[str]:
        """Snapshots that no point and no segment needs: below what the points need, not at a segment's beginning."""
        key = (log.topic, log.partition)
        bases = {segment.base_offset for segment in log.segments}
        known = sorted(log.snapshot_offsets)
        for point in (self.recovery_points.get(key, 0), self.written_points.get(key, 0)):
            below = [offset for offset in known if offset <= point]
            bases.update(below[-1:])
        newest = self.written_points.get(key, 0)
        stale = [offset for offset in known if offset < newest and offset not in bases]
        for offset in stale:
            del log.snapshot_offsets[offset]
        return [snapshot_path(log.directory, offset) for offset in stale]

    def _points_written(self, _: object, failure: BaseException | None) -> None:
        if failure is not None and not self.stopped:
            if isinstance(failure, SyncFailed):
                self.on_failure(str(failure))
            else:
                logger.warning("%s: the checkpoint could not be written: %s", self._root, failure)
        self._end()

    def _end(self) -> None:
        self._stage = "idle"
        exposure = self._exposure
        exposure.vouched = self._captured_written
        exposure.due = self._captured_cost + self._config.checkpoint_bytes
        self.taken += 1
        self.on_idle()
        if self._force_recovery or exposure.cost >= exposure.due:
            self.take()


class SyncFailed(CorruptData):
    """Files that a recovery point needs could not be synced."""


def _write_points(
    files: Files,
    root: str,
    to_sync: tuple[list[str], int | None],
    recovery: bytes | None,
    points: bytes,
    stale: list[str],
) -> None:
    """On the worker; see the module for the order."""
    if recovery is not None:
        paths, filesystem = to_sync
        if paths:
            try:
                sync_paths(files, paths, filesystem)
            except OSError as error:
                raise SyncFailed(f"{root}: syncing the files of a checkpoint failed: {error}") from error
        files.write_file(f"{root}/{RECOVERY_POINTS_FILE}", recovery)
    replace_unsynced(files, f"{root}/{WRITTEN_POINTS_FILE}", points)
    for path in stale:
        if files.exists(path):
            files.unlink(path)


def _complain(problem: str) -> None:
    logger.critical("%s", problem)


def _nothing() -> None:
    """Nobody waits."""
