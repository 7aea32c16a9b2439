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
from moldau.core.log.run import CutFailed, Run, write_run

if TYPE_CHECKING:
    from moldau.core.log.partition_log import PartitionLog
    from moldau.core.log.segment import OpenFile, Segment
    from moldau.core.log.syncing import SyncRounds

logger = logging.getLogger(__name__)

CallSoon = Callable[[Callable[[], None]], object]

# Making a file or a directory costs about as much as writing this many bytes.
_OPEN_COST = 32 * 1024
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
        self.offline = False
        self.durable_rounds: SyncRounds
        self.background_rounds: SyncRounds
        self.on_progress: Callable[[PartitionLog, Run], None] = _ignore
        self.on_truncate: Callable[[PartitionLog, int], None] = _not_open
        self.on_start_moved: Callable[[PartitionLog, list[Segment]], None] = _not_open
        self.on_deleted: Callable[[PartitionLog], None] = _forget
        self.on_epoch: Callable[[PartitionLog], None] = _forget  # epochs of a page-cache log are to be saved
        self.on_idle: Callable[[], None] = _nothing
        self.exposed: Callable[[], int] = int  # what a start after a crash would have to scan
        self.on_disk_failure: Callable[[str], None] = _complain
        self.logs: Callable[[], list[PartitionLog]] = list
        self.bytes_written = 0
        self.writes = 0
        self.write_failures = 0

    @property
    def idle(self) -> bool:
        """Nothing gathered, nothing on the worker."""
        return not self._dirty and not self._held and not self._in_flight

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
        (self.durable_rounds if log.durable else self.background_rounds).request(log)

    def flush(self) -> None:
        """Write what was gathered: on the loop up to `inline_write_bytes` in all, the rest on the worker."""
        self._scheduled = False
        if self.offline:
            self._dirty.clear()
            return
        dirty, self._dirty = self._dirty, []
        room = self._config.inline_write_bytes
        if self.durable_rounds.age_ms() > self._config.slow_sync_ms:
            room = 0  # a write may have to wait for the sync that goes on
        elsewhere: list[Run] = []
        for log in dirty:
            if log.in_flight is not None or log.deleted:
                continue  # it comes again when that run is done
            if self._has_to_wait(log):
                if not log.held:
                    log.held = True
                    self._held.append(log)
                continue
            run = log.take_run()
            if run is None:
                continue
            room -= run.size + _OPEN_COST if run.makes_files else run.size
            if room < 0:
                elsewhere.append(run)
                continue
            try:
                write_run(self._files, run)
            except OSError as error:
                self._failed(run, error)
            except CutFailed as error:
                self.on_disk_failure(str(error))
                return
            else:
                self._written(run)
        if elsewhere:
            self._submit(elsewhere)
        self._watch_pending()
        self.durable_rounds.start()
        self.background_rounds.start()
        self.on_idle()

    def _has_to_wait(self, log: PartitionLog) -> bool:
        """Whether a write now would leave too much for a sync, or for a start after a crash."""
        config = self._config
        if log.durable and self.durable_rounds.unsynced_bytes > config.unsynced_bytes_max:
            return True
        exposed = self.exposed() + self._in_flight_bytes
        return exposed > config.scan_bytes_max // 2 and exposed + log.gathered > config.scan_bytes_max

    def release_held(self) -> None:
        """A sync round or a checkpoint ended: what waited for it is written now."""
        if self._held:
            held, self._held = self._held, []
            for log in held:
                log.held = False
                self.touched(log)
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
                self._written(run)
            elif isinstance(error, OSError):
                self._failed(run, error)
            else:
                self.on_disk_failure(str(error))
                return
            if log.gathered:
                self.touched(log)
        self._watch_pending()
        self.durable_rounds.start()
        self.background_rounds.start()
        self.on_idle()

    def _written(self, run: Run) -> None:
        log = run.log
        log.run_written(run)
        self.bytes_written += run.size
        self.writes += 1
        if log.durable:
            self.durable_rounds.add(log, run.size)
        else:
            if not log.leader_epochs.saved:
                self.on_epoch(log)
            if log.rolled or log.flush_due():
                self.background_rounds.request(log)
        log.rolled = False
        self.on_progress(log, run)
        if log.listener is not None:
            log.listener.on_written()

    def _failed(self, run: Run, error: OSError) -> None:
        log = run.log
        self.write_failures += 1
        logger.warning(
            "%s-%d: writing %d bytes at offset %d failed (%s); the producers are told to try again",
            log.topic,
            log.partition,
            run.size,
            log.written_offset,
            errno.errorcode.get(error.errno or 0, str(error)),
        )
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


def _ignore(log: PartitionLog, run: Run) -> None:
    """Nobody counts."""


def _not_open(log: PartitionLog, _: object) -> None:
    raise InvariantBroken(f"{log.directory} belongs to a log directory that is not open")


def _forget(log: PartitionLog) -> None:
    """Nobody keeps its files."""


def _nothing() -> None:
    """Nobody waits."""


def _complain(problem: str) -> None:
    logger.critical("%s", problem)
