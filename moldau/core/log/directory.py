"""One log directory of a broker: its lock, its checkpoints, its partitions.

Lives here: opening (with recovery), creating and deleting logs, going offline, shutting down. The parts do
the work: `recovery.py` loads a log, `writer.py` writes, `syncing.py` syncs, `points.py` checkpoints.

Crash story: the clean-shutdown marker is taken away as soon as the directory is open and comes back only
when every flush of the shutdown is done, so its absence means "scan from the points".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from moldau.core.base.clock import Clock
from moldau.core.base.errors import CorruptData, ErrorCode, StorageError
from moldau.core.base.files import Files
from moldau.core.base.ids import ZERO_UUID
from moldau.core.base.pending import Pending
from moldau.core.base.workers import Worker
from moldau.core.log import names
from moldau.core.log.checkpoints import (
    MetaProperties,
    decode_meta_properties,
    decode_offsets,
    encode_epochs,
    encode_meta_properties,
    encode_offsets,
    replace_apart,
)
from moldau.core.log.closing import LastFlush, remove_tree, shorten, write_last, write_offsets
from moldau.core.log.config import DirectoryConfig, LogConfig
from moldau.core.log.cutting import cut_files, segment_paths
from moldau.core.log.epochs import LeaderEpochs
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.points import Checkpoints, capture, read_written_points
from moldau.core.log.recovery import Hints, Loader, Recovered
from moldau.core.log.segment import Segment
from moldau.core.log.syncing import SyncRounds, filesystem_threshold
from moldau.core.log.writer import CallSoon, LogWriter

logger = logging.getLogger(__name__)

Key = tuple[str, int]

# Dirty files up to which a background sync goes file by file.
PATIENT_FILES_MAX = 64


class Workers(NamedTuple):
    """Where a directory's blocking calls run: each its own thread, so that none waits for another kind."""

    write: Worker
    sync: Worker
    background_sync: Worker
    files: Worker


class LogDirectory:
    """See the module. Everything runs on the loop; `open` blocks until every log is recovered."""

    def __init__(
        self,
        path: str,
        files: Files,
        clock: Clock,
        config: DirectoryConfig,
        *,
        workers: Workers,
        call_soon: CallSoon,
        defaults: LogConfig | None = None,
    ) -> None:
        self.path = path
        self.logs: dict[Key, PartitionLog] = {}
        self.offline = False
        self.clean = False  # how the last run ended
        self.recovered = Recovered()  # what opening had to scan, and to cut
        self.meta: MetaProperties | None = None
        self.on_offline: Callable[[str], None] = _ignore
        self.random: Callable[[int], bytes] = os.urandom
        self._call_soon = call_soon
        self.writer = LogWriter(files, clock, config, workers.write, call_soon)
        self.checkpoints = Checkpoints(files, config, workers.files, path, call_soon, self.writer.exposure)
        self._files = files
        self._clock = clock
        self._config = config
        self._workers = workers
        self._defaults = defaults if defaults is not None else LogConfig()
        self._lock: int | None = None
        self._handle: int | None = None
        self._closing: Pending[bool] | None = None
        self._broker_epoch = -1
        self._checkpointed_ms = clock.monotonic_ms()

    # Opening.

    def open(self) -> None:
        """Lock the directory, recover every log. Raises StorageError with a text for the user."""
        try:
            self._files.make_directory(self.path)
            self._take_lock()
            self._open()
        except OSError as error:
            self.close()
            raise StorageError(f"The data directory {self.path} cannot be used: {error}") from error
        except StorageError:
            self.close()
            raise

    def _take_lock(self) -> None:
        try:
            self._lock = self._files.lock(f"{self.path}/{names.LOCK_FILE}")
        except BlockingIOError as error:
            raise StorageError(
                f"The data directory {self.path} is in use by another process. "
                "Stop that one first, or choose another directory."
            ) from error

    def _open(self) -> None:
        begun_ms = self._clock.monotonic_ms()
        self.meta = self._read_meta()
        self._handle = self._files.open_read(f"{self.path}/{names.LOCK_FILE}")
        self._start_rounds()
        marker = f"{self.path}/{names.CLEAN_FILE}"
        self.clean = self._files.exists(marker)
        recovery = self._read_offsets(names.RECOVERY_POINTS_FILE)
        starts = self._read_offsets(names.START_OFFSETS_FILE)
        written = {} if self.clean else read_written_points(self._files, self.path)
        if self.clean:
            self._files.unlink(marker)
            self._files.sync_directory(self.path)
        for key in self._partitions():
            synced = recovery.get(key, 0)
            hints = Hints(self.clean, max(synced, written.get(key, 0)), synced, starts.get(key))
            self._load(key, hints)
        self._sync_recovered()
        for key, log in self.logs.items():
            # A clean end left everything synced; after a crash the old points stay until the next checkpoint.
            recovery[key] = log.end_offset if self.clean else min(recovery.get(key, 0), log.end_offset)
        self.checkpoints.start(self.recovered.scanned, recovery, written)
        if not self.clean and self.logs:
            logger.info(
                "%s: %d logs recovered, %d bytes scanned, %d bytes cut in %d ms",
                self.path,
                len(self.logs),
                self.recovered.scanned,
                self.recovered.cut,
                self._clock.monotonic_ms() - begun_ms,
            )

    def _read_meta(self) -> MetaProperties | None:
        path = f"{self.path}/{names.META_FILE}"
        if not self._files.exists(path):
            return None
        try:
            return decode_meta_properties(self._files.read_file(path))
        except CorruptData as error:
            raise StorageError(f"{path} is not usable: {error}") from error

    def write_meta(self, meta: MetaProperties) -> None:
        """Say whose directory this is. Raises OSError."""
        self._files.write_file(f"{self.path}/{names.META_FILE}", encode_meta_properties(meta))
        self.meta = meta

    def _start_rounds(self) -> None:
        if self._handle is None:
            raise StorageError(f"The data directory {self.path} is not open")
        for attribute, worker in (
            ("durable_rounds", self._workers.sync),
            ("background_rounds", self._workers.background_sync),
        ):
            rounds = SyncRounds(self._files, self._clock, self._config, worker, self.path, self._handle)
            rounds.on_round = self._round_done
            rounds.on_failure = self.fail
            rounds.call_soon = self._call_soon
            setattr(self.writer, attribute, rounds)
        self.writer.on_checkpoint_due = self.checkpoints.take
        self.writer.on_disk_failure = self.fail
        self.writer.logs = self._all_logs
        self.writer.on_truncate = self._truncate
        self.writer.on_start_moved = self._start_moved
        self.writer.background_rounds.saves_epochs = False
        self.writer.on_epoch = self._save_epochs
        self.writer.on_deleted = self._last_write_done
        self.checkpoints.on_failure = self.fail
        self.checkpoints.logs = self._all_logs
        self.checkpoints.on_idle = self._checkpoint_done
        self.checkpoints.filesystem_handle = self._handle
        # Nobody's answer waits for these: better many small syncs than one of all that page-cache logs have dirty.
        patient = max(PATIENT_FILES_MAX, self.writer.durable_rounds.by_filesystem_at)
        if self._config.sync_method == "auto":
            self.writer.background_rounds.by_filesystem_at = self.checkpoints.by_filesystem_at = patient
        else:
            self.checkpoints.by_filesystem_at = filesystem_threshold(self._files, self._config)

    def _read_offsets(self, name: str) -> dict[Key, int]:
        path = f"{self.path}/{name}"
        if not self._files.exists(path):
            return {}
        content = self._files.read_file(path)
        if not content:
            return {}  # Kafka makes the file before it has anything to say
        try:
            return decode_offsets(content)
        except CorruptData as error:
            logger.warning("%s is not used: %s", path, error)
            return {}

    def _partitions(self) -> list[Key]:
        keys: list[Key] = []
        for name in self._files.list(self.path):
            path = f"{self.path}/{name}"
            if not self._files.is_directory(path):
                continue
            key = names.parse_partition_directory(name)
            if key is not None:
                keys.append(key)
            elif names.is_deleted_directory(name):
                self._remove_later(path)
            elif name != "lost+found":
                logger.warning("%s is left alone: its name is not that of a partition", path)
        return keys

    def _load(self, key: Key, hints: Hints) -> None:
        log = self._new_log(*key, ZERO_UUID)
        result = Loader(self._files, log, hints).load(self._clock.wall_ms() - self._config.producer_id_expiration_ms)
        if result.cut:
            logger.warning("%s: %d bytes that were not whole are gone", log.directory, result.cut)
        self.recovered.scanned += result.scanned
        self.recovered.cut += result.cut
        self.logs[key] = log

    def _sync_recovered(self) -> None:
        """Logs whose appends wait for the disk are synced before anybody reads them."""
        logs = [log for log in self.logs.values() if log.durable and log.unsynced]
        if logs:
            self.writer.durable_rounds.sync_now(logs)

    # Logs come and go.

    def create_log(self, topic: str, partition: int, topic_id: bytes, config: LogConfig) -> PartitionLog:
        """A new, empty log; its directory is made at its first append."""
        log = self._new_log(topic, partition, topic_id)
        log.reconfigure(config)
        self.logs[topic, partition] = log
        return log

    def delete_log(self, topic: str, partition: int) -> None:
        """Take a log away: its directory is renamed at once and removed on a worker. Raises OSError."""
        log = self.logs.pop((topic, partition))
        log.delete()
        self.checkpoints.forget(log)
        self.writer.durable_rounds.forget(log)
        self.writer.background_rounds.forget(log)
        self._discard(log)

    def _truncate(self, log: PartitionLog, offset: int) -> None:
        offset = log.batch_start(offset)
        self.checkpoints.lower(log, offset)
        cut_files(self._files, log, offset)
        point = self.checkpoints.recovery_points.get((log.topic, log.partition), 0)
        synced = min(log.synced_offset, offset)
        log.forget_files()
        hints = Hints(clean=False, point=point, synced=synced, start_offset=log.start_offset)
        Loader(self._files, log, hints).load(self._clock.wall_ms() - self._config.producer_id_expiration_ms)

    def _save_epochs(self, log: PartitionLog) -> None:
        """A page-cache log began an epoch: no sync of its data follows, so its checkpoint goes its own way."""
        epochs = log.leader_epochs
        version, epochs.saved_version = epochs.version, epochs.version  # not asked for again meanwhile
        log.epochs_under_way += 1
        content = encode_epochs(epochs.entries)
        path = f"{log.directory}/{names.EPOCHS_FILE}"
        done = partial(self._epochs_saved, log, epochs, version)
        self._workers.files.submit(partial(replace_apart, self._files, path, content), done)

    def _epochs_saved(
        self, log: PartitionLog, epochs: LeaderEpochs, version: int, _: object, failure: BaseException | None
    ) -> None:
        log.epochs_under_way -= 1
        if failure is not None and not log.deleted:
            logger.warning("%s: its leader epochs could not be saved: %s", log.directory, failure)
            epochs.saved_version = min(epochs.saved_version, version - 1)

    def _start_moved(self, log: PartitionLog, gone: list[Segment]) -> None:
        paths = [path for segment in gone for path in segment_paths(log.directory, segment.base_offset)]
        for segment in gone:
            log.snapshot_offsets.pop(segment.base_offset, None)
        work = partial(shorten, self._files, self.path, self._offsets()[0], paths)
        self._workers.files.submit(work, partial(_written, self.path))

    def _last_write_done(self, log: PartitionLog) -> None:
        """A write was under way when `log` was deleted, and may have made its directory again."""
        log.close()
        if (log.topic, log.partition) not in self.logs:
            self._discard(log)

    def _discard(self, log: PartitionLog) -> None:
        if self._files.exists(log.directory):
            target = f"{self.path}/{names.deleted_directory(log.topic, log.partition, self.random(16))}"
            self._files.rename(log.directory, target)
            self._remove_later(target)

    def _new_log(self, topic: str, partition: int, topic_id: bytes) -> PartitionLog:
        log = PartitionLog(
            topic,
            partition,
            topic_id,
            files=self._files,
            clock=self._clock,
            writer=self.writer,
            directory=f"{self.path}/{names.partition_directory(topic, partition)}",
        )
        log.reconfigure(self._defaults)
        return log

    def _remove_later(self, path: str) -> None:
        self._workers.files.submit(partial(remove_tree, self._files, path), _removed)

    def _all_logs(self) -> list[PartitionLog]:
        return list(self.logs.values())

    # Now and then.

    def write_checkpoints(self) -> None:
        """Take a checkpoint with recovery points, and write where logs begin and how far they are committed."""
        if self.offline:
            return
        self.checkpoints.take(recovery=True)
        work = partial(write_offsets, self._files, self.path, *self._offsets())
        self._workers.files.submit(work, partial(_written, self.path))

    def housekeeping(self) -> None:
        """Forget silent producers, sync what flush.ms says is due, checkpoint. To be called every few seconds."""
        if self.offline or self._closing is not None:
            return
        silence_ms = self._config.producer_id_expiration_ms
        now = self._clock.monotonic_ms()
        for log in self.logs.values():
            log.producers.forget_silent(now, silence_ms)
            if log.flush_ms_due(now):
                self.writer.background_rounds.request(log)
        self.writer.background_rounds.start()
        if now - self._checkpointed_ms >= self._config.checkpoint_interval_ms:
            self._checkpointed_ms = now
            self.write_checkpoints()

    def _offsets(self) -> tuple[bytes, bytes]:
        starts = {key: log.start_offset for key, log in self.logs.items() if log.start_offset > 0}
        watermarks = {key: log.synced_offset if log.durable else log.written_offset for key, log in self.logs.items()}
        return encode_offsets(starts), encode_offsets(watermarks)

    def _checkpoint_done(self) -> None:
        self.writer.release_held()
        self._go_on_closing()

    def _round_done(self) -> None:
        self.checkpoints.round_done()
        self.writer.release_held()
        self._go_on_closing()

    # The disk fails.

    def fail(self, problem: str) -> None:
        """The disk cannot be trusted: nothing is written or synced any more, and everybody who waits is told."""
        if self.offline:
            return
        self.offline = True
        logger.critical("the data directory %s is offline: %s", self.path, problem)
        self.writer.go_offline()
        self.checkpoints.stopped = True
        try:
            # The cache may hold what the disk does not: the next start has to scan from what was synced.
            self._files.unlink(f"{self.path}/{names.WRITTEN_POINTS_FILE}")
        except OSError as error:
            logger.info("%s: the written points stay: %s", self.path, error)
        for log in self.logs.values():
            log.go_offline()
        for log in self._all_logs():
            if log.listener is not None:
                log.listener.on_failed(ErrorCode.KAFKA_STORAGE_ERROR)
        closing, self._closing = self._closing, None
        if closing is not None:
            closing.complete(False)
        self.on_offline(problem)

    # Closing.

    def shut_down(self, broker_epoch: int = -1) -> Pending[bool]:
        """Write, sync and checkpoint everything; completed with True once the clean marker is there.

        Nobody appends any more. False when the disk failed. Whoever waits sets the time limit; `close` follows.
        """
        closing: Pending[bool] = Pending()
        if self.offline or self._handle is None:
            closing.complete(False)
            return closing
        self._closing = closing
        self.writer.on_idle = self._go_on_closing
        self._broker_epoch = broker_epoch
        self.writer.flush()
        self._go_on_closing()
        return closing

    def _go_on_closing(self) -> None:
        writer = self.writer
        if self._closing is None or not writer.idle:
            return
        for log in self.logs.values():
            if log.unsynced:
                writer.request_sync(log)
        writer.durable_rounds.start()
        writer.background_rounds.start()
        if not (writer.durable_rounds.idle and writer.background_rounds.idle and self.checkpoints.idle):
            return
        if self.checkpoints.stopped:
            return
        self.checkpoints.stopped = True
        for log in self.logs.values():
            log.seal()
        captures = [capture(log) for log in self.logs.values() if self._files.exists(log.directory)]
        points = encode_offsets({key: log.end_offset for key, log in self.logs.items()})
        filesystem = self._handle if 3 * len(captures) > self.checkpoints.by_filesystem_at else None
        last = LastFlush(self.path, captures, filesystem, points, *self._offsets(), self._broker_epoch)
        self._workers.files.submit(partial(write_last, self._files, last), self._closed)

    def _closed(self, _: object, failure: BaseException | None) -> None:
        closing, self._closing = self._closing, None
        if failure is not None:
            logger.error("%s could not be closed in order: %s", self.path, failure)
        if closing is not None:
            closing.complete(failure is None)

    def close(self) -> None:
        """Give every handle and the lock back, at once."""
        for log in self.logs.values():
            log.close()
        for handle in (self._handle, self._lock):
            if handle is not None:
                self._files.close(handle)
        self._handle = self._lock = None


def _removed(_: object, failure: BaseException | None) -> None:
    if failure is not None:
        logger.warning("a deleted partition is still there, the next start removes it: %s", failure)


def _written(path: str, _: object, failure: BaseException | None) -> None:
    if failure is not None:
        logger.warning("%s: start offsets and high watermarks could not be written: %s", path, failure)


def _ignore(problem: str) -> None:
    """Nobody has to know."""
