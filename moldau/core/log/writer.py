"""The writer of one log directory: one write per partition and loop turn.

Lives here: when gathers are written, where (on the loop or on the write worker), and what follows a write
that failed. Sync rounds are `syncing.py`'s; checkpoints are `points.py`'s.

Order: a log has at most one run on the write worker; what it gathers meanwhile waits for that run, so a
file always grows in the order of the offsets. On the loop nothing blocks but the page cache.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from moldau.core.base.clock import Clock
from moldau.core.base.errors import ErrorCode, InvariantBroken, Refusal
from moldau.core.base.files import Files
from moldau.core.base.workers import Worker
from moldau.core.log.config import DirectoryConfig
from moldau.core.log.points import Exposure
from moldau.core.log.run import CutFailed, Run, cut_back, write_run

if TYPE_CHECKING:
    from moldau.core.log.partition_log import PartitionLog
    from moldau.core.log.segment import OpenFile, Segment
    from moldau.core.log.syncing import SyncRounds

logger = logging.getLogger(__name__)

CallSoon = Callable[[Callable[[], None]], object]

_COMPLAIN_MS = 10_000  # between two warnings about failed writes
_STALLED = Refusal(ErrorCode.REQUEST_TIMED_OUT, "The disk does not keep up")


class LogWriter:
    """See the module. All methods run on the loop."""

    def __init__(
        self, files: Files, clock: Clock, config: DirectoryConfig, worker: Worker, call_soon: CallSoon
    ) -> None:
        self._files = files
        self._clock = clock
        self._config = config
        self._worker = worker
        self._call_soon = call_soon
        self._dirty: list[PartitionLog] = []
        self._scheduled = False
        self._stalled = False
        self._in_flight_bytes = 0
        self._in_flight: dict[PartitionLog, None] = {}
        self._held: list[PartitionLog] = []
        self._unsynced_max = config.unsynced_bytes_max
        self._tight = config.scan_bytes_max // 2  # from here on every write is looked at
        self._batch_bytes = config.checkpoint_batch_bytes
        self._complained_ms: int | None = None
        self.offline = False
        self.exposure = Exposure()
        self.durable_rounds: SyncRounds
        self.background_rounds: SyncRounds
        self.on_checkpoint_due: Callable[[], None] = _nothing
        self.on_truncate: Callable[[PartitionLog, int], None] = _not_open
        self.on_start_moved: Callable[[PartitionLog, list[Segment]], None] = _not_open
        self.on_deleted: Callable[[PartitionLog], None] = _forget
        self.on_epoch: Callable[[PartitionLog], None] = _forget  # epochs of a page-cache log are to be saved
        self.on_idle: Callable[[], None] | None = None  # while somebody waits for the end of all writes
        self.on_disk_failure: Callable[[str], None] = _complain
        self.logs: Callable[[], list[PartitionLog]] = list
        self.writes = 0
        self.write_failures = 0

    @property
    def idle(self) -> bool:
        """Nothing gathered, nothing on the worker."""
        return not self._dirty and not self._held and not self._in_flight

    @property
    def bytes_written(self) -> int:
        """Since the directory was opened."""
        return self.exposure.written

    def touched(self, log: PartitionLog) -> None:
        """`log` began to gather: it is written at the end of this loop turn."""
        self._dirty.append(log)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self.flush)

    def truncate(self, log: PartitionLog, offset: int) -> None:
        """Cut `log` on the disk and load it again. Blocks. Raises OSError."""
        self.on_truncate(log, offset)

    def start_moved(self, log: PartitionLog, gone: list[Segment]) -> None:
        """`log` begins later; the files of `gone` are removed on a worker."""
        self.on_start_moved(log, gone)

    def request_sync(self, log: PartitionLog) -> None:
        """Sync what is written of `log`, in the next round."""
        rounds = self.durable_rounds if log.durable else self.background_rounds
        rounds.request(log)
        rounds.start()

    def flush(self) -> None:
        """Write what was gathered: on the loop up to `inline_write_bytes` in all, the rest on the worker.

        A first append and a roll are the worker's too: making a file took 0.3 ms here, a partition's directory 0.6.
        """
        self._scheduled = False
        if self.offline:
            self._dirty.clear()
            return
        dirty, self._dirty = self._dirty, []
        room = self._config.inline_write_bytes
        durable = self.durable_rounds
        if durable.running is not None and durable.age_ms() > self._config.slow_sync_ms:
            room = 0  # a write may have to wait for the sync that goes on
        exposed = self.exposure.written - self.exposure.vouched + self._in_flight_bytes
        elsewhere: list[Run] = []
        for log in dirty:
            if log.in_flight is not None or log.deleted:
                continue  # it comes again when that run is done
            if (exposed > self._tight or durable.unsynced_bytes > self._unsynced_max) and self._has_to_wait(
                log, exposed
            ):
                if not log.held:
                    log.held = True
                    self._held.append(log)
                continue
            size = log.gathered
            if size == 0:
                continue
            exposed += size
            room -= size
            if room >= 0 and not log.makes_file:
                self._write_here(log, size)
            else:
                elsewhere.append(log.take_run())
            if self.offline:
                return
        if elsewhere:
            self._submit(elsewhere)
        self._after_writes()

    def _write_here(self, log: PartitionLog, size: int) -> None:
        """Write the gather of `log` on the loop."""
        batches = log.gathered_batches
        run: Run | None = None
        try:
            if not log.write_gather():
                run = log.take_run()
                write_run(self._files, run)
                log.run_written(run)
        except OSError as error:
            self._failed_here(log, run, error)
        except CutFailed as error:
            self.on_disk_failure(str(error))
        else:
            self._written(log, size, batches)

    def _failed_here(self, log: PartitionLog, run: Run | None, error: OSError) -> None:
        if run is None:
            run = log.take_run()
            try:
                cut_back(self._files, run, error)
            except CutFailed as second:
                self.on_disk_failure(str(second))
                return
        self._failed(run, error)

    def _after_writes(self) -> None:
        if self._in_flight_bytes or self._held or self._stalled:
            self._watch_pending()
        self.durable_rounds.start()
        self.background_rounds.start()
        if self.on_idle is not None:
            self.on_idle()

    def _has_to_wait(self, log: PartitionLog, exposed: int) -> bool:
        """Whether a write now would leave too much for a sync, or for a start after a crash."""
        if log.durable and self.durable_rounds.unsynced_bytes > self._unsynced_max:
            return True
        return exposed > self._tight and exposed + log.gathered > self._config.scan_bytes_max

    def release_held(self) -> None:
        """A sync round or a checkpoint ended: what waited for it is written now."""
        if self._held:
            held, self._held = self._held, []
            for log in held:
                log.held = False
                self.touched(log)
        if self._stalled:
            self._watch_pending()

    def go_offline(self) -> None:
        """The disk failed: nothing is written any more."""
        self.offline = True
        self._dirty.clear()
        self._held.clear()

    def _submit(self, runs: list[Run]) -> None:
        self._in_flight_bytes += sum(run.size for run in runs)
        files: list[OpenFile] = []
        for run in runs:
            run.log.in_flight = run
            self._in_flight[run.log] = None
            files += [part.segment.file for part in run.parts if part.segment.file is not None]
        for file in files:
            file.retain()  # whatever is closed meanwhile, the worker must not write to a number that means another file
        self._worker.submit(partial(_write_all, self._files, runs), partial(self._worker_done, runs, files))

    def _worker_done(
        self,
        runs: list[Run],
        files: list[OpenFile],
        errors: list[Exception | None] | None,
        failure: BaseException | None,
    ) -> None:
        for file in files:
            file.release()
        self._in_flight_bytes -= sum(run.size for run in runs)
        for run in runs:
            del self._in_flight[run.log]
        if self.offline:
            return
        if errors is None:
            self.on_disk_failure(f"the write worker broke: {failure!r}")
            return
        for run, error in zip(runs, errors, strict=True):
            log = run.log
            log.in_flight = None
            if log.deleted:
                self.on_deleted(log)
                continue
            if error is None:
                log.run_written(run)
                self._written(log, run.size, run.batches)
            elif isinstance(error, OSError):
                self._failed(run, error)
            else:
                self.on_disk_failure(str(error))
                return
            if log.gathered:
                self.touched(log)
        self._after_writes()

    def _written(self, log: PartitionLog, size: int, batches: int) -> None:
        """`size` more bytes of `log` are in its files."""
        exposure = self.exposure
        exposure.written += size
        exposure.cost += size + batches * self._batch_bytes
        self.writes += 1
        if log.durable:
            self.durable_rounds.add(log, size)
        else:
            if not log.leader_epochs.saved:
                self.on_epoch(log)
            if log.rolled or log.flush_due():
                self.background_rounds.request(log)
        log.rolled = False
        if exposure.cost >= exposure.due:
            self.on_checkpoint_due()
        if log.listener is not None:
            log.listener.on_written()

    def _failed(self, run: Run, error: OSError) -> None:
        log = run.log
        self.write_failures += 1
        now = self._clock.monotonic_ms()
        if self._complained_ms is None or now - self._complained_ms >= _COMPLAIN_MS:
            self._complained_ms = now
            name = errno.errorcode.get(error.errno or 0, str(error))
            logger.warning("%s: %d bytes could not be written: %s", log.directory, run.size, name)
        log.run_failed(run)
        if log.listener is not None:
            log.listener.on_failed(ErrorCode.KAFKA_STORAGE_ERROR)

    def _watch_pending(self) -> None:
        """Bound what waits to be written: beyond it every append is refused, until half of it is through."""
        waiting = self._in_flight_bytes
        if waiting or self._held:
            waiting += sum(log.gathered for log in self._in_flight) + sum(log.gathered for log in self._held)
            stalled = waiting > self._config.pending_bytes_max // (2 if self._stalled else 1)
        else:
            stalled = False
        if stalled != self._stalled:
            self._stalled = stalled
            logger.warning("appends are %s", "refused: too much waits for the disk" if stalled else "taken again")
            for log in self.logs():
                log.refuse_appends(_STALLED if stalled else None)


def _write_all(files: Files, runs: list[Run]) -> list[Exception | None]:
    """On the worker: every run is tried, whatever became of the others."""
    errors: list[Exception | None] = []
    for run in runs:
        try:
            write_run(files, run)
        except (OSError, CutFailed) as error:
            errors.append(error)
        else:
            errors.append(None)
    return errors


def _not_open(log: PartitionLog, _: object) -> None:
    raise InvariantBroken(f"{log.directory} belongs to a log directory that is not open")


def _forget(log: PartitionLog) -> None:
    """Nobody keeps its files."""


def _nothing() -> None:
    """Nobody waits."""


def _complain(problem: str) -> None:
    logger.critical("%s", problem)
