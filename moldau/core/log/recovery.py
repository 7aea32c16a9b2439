"""Loading one partition's log from its directory, after a clean end or a crash.

Lives here: what is scanned, rebuilt and cut. Runs before the loop serves anybody, so it may block.

Crash story. A point vouches for everything below it: those bytes are whole, their index entries and a
producer snapshot are on the disk. From the point on every batch is checked (header, order of offsets, CRC)
and the log is cut at the first that is not whole: a write that was torn, or pages the disk lost. Index
entries, leader epochs and producer states behind the point are made again from the batches. After a clean
end the point is the log's end.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

from moldau.core.base.errors import CorruptData
from moldau.core.base.files import Files
from moldau.core.base.options import LONG_MAX
from moldau.core.log.checkpoints import decode_epochs, decode_partition_metadata
from moldau.core.log.cutting import segment_paths, unlink_all
from moldau.core.log.epochs import LeaderEpochs
from moldau.core.log.headers import BatchScan, Header
from moldau.core.log.names import (
    APART_SUFFIX,
    EPOCHS_FILE,
    LOG_SUFFIX,
    PARTITION_FILE,
    SNAPSHOT_SUFFIX,
    TEMPORARY_SUFFIX,
    parse_segment_file,
)
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.points import snapshot_path
from moldau.core.log.segment import NO_TIMESTAMP, Segment

logger = logging.getLogger(__name__)

_LEFTOVERS = (TEMPORARY_SUFFIX, APART_SUFFIX, ".deleted", ".cleaned")


@dataclass(slots=True)
class Recovered:
    """What loading found: bytes that were scanned, bytes that were cut."""

    scanned: int = 0
    cut: int = 0


class Hints(NamedTuple):
    """What the directory's checkpoints say of one log."""

    clean: bool  # it was closed in order: nothing has to be scanned
    point: int  # everything below was written whole
    synced: int  # everything below is on the disk
    start_offset: int | None


class Loader:
    """Loads one log; `load` is called once."""

    def __init__(self, files: Files, log: PartitionLog, hints: Hints) -> None:
        self._files = files
        self._log = log
        self._point = LONG_MAX if hints.clean else hints.point
        self._synced = hints.synced
        self._clean = hints.clean
        self._start_offset = hints.start_offset
        self._epochs = LeaderEpochs()
        self._replayed_to = 0
        self._found: dict[str, list[int]] = {}
        self.result = Recovered()

    def load(self, silent_before_ms: int) -> Recovered:
        """Fill the log with what its directory holds. Raises OSError.

        Producers of a log that was last written before `silent_before_ms` are forgotten.
        """
        log = self._log
        self._list_directory()
        segments = [Segment(self._files, log.directory, base) for base in self._found[LOG_SUFFIX]]
        for segment in segments:
            handle = self._files.open_read(segment.path())
            segment.size = self._files.size(handle)
            self._files.close(handle)
            segment.durable = True
        segments = self._drop_below_start(segments)
        if not segments:
            segments = [Segment(self._files, log.directory, self._start_offset or 0)]
        self._load_epochs(segments)
        first = next((n for n, s in enumerate(segments[1:], 1) if s.base_offset > self._point), len(segments)) - 1
        for segment in segments[: max(first - 1, 0)]:
            self._load_sealed(segment)
        if first:
            # It may have been rolled just after the point: what sealing added to its indexes is not vouched for.
            before = segments[first - 1]
            self._rebuild(before, self._load_indexes(before, LONG_MAX), check=False)
            self._seal(before)
        end, segments = self._scan(segments, first)
        self._finish(segments, end)
        last = log.segments[-1]
        if last.size and self._files.modified_ms(last.path()) < silent_before_ms:
            log.producers.clear()
        return self.result

    def _list_directory(self) -> None:
        log = self._log
        self._found = {LOG_SUFFIX: [], SNAPSHOT_SUFFIX: []}
        for name in self._files.list(log.directory):
            parsed = parse_segment_file(name)
            if parsed is not None and parsed[1] in self._found:
                self._found[parsed[1]].append(parsed[0])
            elif name.endswith(_LEFTOVERS):
                self._files.unlink(f"{log.directory}/{name}")
            elif name == PARTITION_FILE:
                self._load_topic_id(f"{log.directory}/{name}")

    def _load_topic_id(self, path: str) -> None:
        try:
            self._log.topic_id = decode_partition_metadata(self._files.read_file(path))
        except CorruptData as error:
            # The crash took its content: it is written again with the next append.
            logger.warning("%s is not used: %s", path, error)
            self._files.unlink(path)

    def _drop_below_start(self, segments: list[Segment]) -> list[Segment]:
        """Remove segments that lie wholly below the log's start: their removal was under way."""
        start = self._start_offset
        if start is None:
            return segments
        while len(segments) > 1 and segments[1].base_offset <= start:
            self._remove(segments.pop(0))
        return segments

    def _load_epochs(self, segments: list[Segment]) -> None:
        path = f"{self._log.directory}/{EPOCHS_FILE}"
        try:
            self._epochs.entries = decode_epochs(self._files.read_file(path)) if self._files.exists(path) else []
        except CorruptData as error:
            logger.warning("%s is made again: %s", path, error)
        if not self._epochs.entries:
            # Without the file every batch has to be asked.
            self._clean, self._point = False, segments[0].base_offset

    def _load_sealed(self, segment: Segment) -> None:
        """A segment below the point: its indexes are taken as they are if they can be."""
        if segment.offsets.load() and segment.times.load() and self._sane(segment):
            last = segment.times.last
            if last is not None:
                segment.max_timestamp, segment.max_timestamp_offset = last
            return
        logger.warning("%s: its indexes are made again", segment.path())
        self._rebuild(segment, self._load_indexes(segment, segment.base_offset), check=False)
        self._seal(segment)

    def _sane(self, segment: Segment) -> bool:
        last = segment.offsets.last
        return last is None or last[1] < segment.size

    def _scan(self, segments: list[Segment], first: int) -> tuple[int, list[Segment]]:
        """Check everything from the point on; the log's end and the segments that stay."""
        start = self._load_indexes(segments[first], self._point)
        self._load_producers(segments, first, start)
        end = segments[first].base_offset
        for number in range(first, len(segments)):
            segment = segments[number]
            if number > first:
                if segment.base_offset != end:
                    return end, self._cut(segments, number, f"it begins at {segment.base_offset}, not at {end}")
                start = self._load_indexes(segment, self._point)
            scan = self._rebuild(segment, start, check=not self._clean)
            end = scan.next_offset
            if scan.problem is not None:
                if self._clean:
                    # The marker said clean, the bytes say otherwise: look at all of the segment.
                    self._clean, self._point = False, segment.base_offset
                    return self._scan(segments, first)
                self._cut_segment(segment, scan)
                return end, self._cut(segments, number + 1, "it stands behind a batch that is not whole")
            if number < len(segments) - 1:
                self._seal(segment)
        return end, segments

    def _rebuild(self, segment: Segment, start: int, *, check: bool) -> BatchScan:
        """Make everything again that is known from the batches at `start` and behind it."""
        handle = segment.opened().handle if segment.size else -1
        if check and segment.size:
            # After a failed sync the cache holds what the disk does not: only what comes from the disk counts.
            self._files.drop_cached(handle)
        if segment.times.last is not None:
            segment.max_timestamp, segment.max_timestamp_offset = segment.times.last
        else:
            segment.max_timestamp, segment.max_timestamp_offset = NO_TIMESTAMP, segment.base_offset
        scan = BatchScan(self._files, handle, start, segment.size, check=check, next_offset=segment.base_offset)
        indexed, interval = start, self._log.config.index_interval_bytes
        latest, newest = self._epochs.latest, segment.max_timestamp
        for position, _, header in scan:
            timestamp = header[8]
            if timestamp > newest:
                newest = segment.max_timestamp = timestamp
                segment.max_timestamp_offset = header[0] + header[6]
            if position - indexed > interval:
                segment.offsets.append(header[0] + header[6], position)
                segment.times.append(segment.max_timestamp, segment.max_timestamp_offset)
                indexed = position
            if header[9] >= 0 or header[2] > latest:
                self._learn(header)
                latest = self._epochs.latest
        if check:
            self.result.scanned += scan.position - start
        return scan

    def _load_indexes(self, segment: Segment, trusted: int) -> int:
        """Keep the index entries that are vouched for: below `trusted`, and within the file.

        Returns the position of the last one: everything behind it is to be made again.
        """
        offsets, times = segment.offsets, segment.times
        if not offsets.load() or not times.load():
            offsets.clear()
            times.clear()
            return 0
        offsets.cut(min(offsets.count_while(trusted, 0), offsets.count_while(segment.size, 1)))
        last = offsets.last
        if last is None:
            times.clear()
            return 0
        times.cut(times.count_while(last[0] + 1, 1))
        return last[1]

    def _load_producers(self, segments: list[Segment], first: int, start: int) -> None:
        """Take the newest snapshot that is vouched for, and what the batches from there to `start` say."""
        log = self._log
        log.producers.clear()
        self._replayed_to = segments[0].base_offset
        for offset in sorted(self._found[SNAPSHOT_SUFFIX], reverse=True):
            path = snapshot_path(log.directory, offset)
            if offset > self._point or offset < segments[0].base_offset:
                continue
            try:
                log.producers.load_snapshot(self._files.read_file(path))
            except CorruptData as error:
                logger.warning("%s is not used: %s", path, error)
                continue
            self._replayed_to = offset
            break
        for number in range(first + 1):
            segment = segments[number]
            if number < first and segments[number + 1].base_offset <= self._replayed_to:
                continue
            stop = start if number == first else segment.size
            try:
                begin = segment.find(self._replayed_to, stop) if stop else None
            except CorruptData as error:
                logger.warning("its batches say nothing of their producers: %s", error)
                continue
            if begin is not None:
                for _, _, header in BatchScan(self._files, segment.opened().handle, begin, stop, check=False):
                    self._learn(header)

    def _learn(self, header: Header) -> None:
        offset, epoch, delta, producer_id = header[0], header[2], header[6], header[9]
        if producer_id >= 0 and offset >= self._replayed_to:
            self._log.producers.replay(producer_id, header[10], header[11], delta, offset, header[8])
        if epoch > self._epochs.latest:
            self._epochs.assign(epoch, offset)

    def _seal(self, segment: Segment) -> None:
        if segment.max_timestamp != NO_TIMESTAMP:
            segment.times.append(segment.max_timestamp, segment.max_timestamp_offset)
        self._log.unindexed[segment] = None

    def _cut_segment(self, segment: Segment, scan: BatchScan) -> None:
        lost = segment.size - scan.position
        self.result.cut += lost
        logger.warning(
            "%s: cut at byte %d, offset %d, %d bytes go: %s",
            segment.path(),
            scan.position,
            scan.next_offset,
            lost,
            scan.problem,
        )
        self._files.truncate(segment.opened().handle, scan.position)
        segment.size = scan.position

    def _cut(self, segments: list[Segment], keep: int, why: str) -> list[Segment]:
        for segment in segments[keep:]:
            self.result.cut += segment.size
            logger.warning("%s is removed (%d bytes): %s", segment.path(), segment.size, why)
            self._remove(segment)
        return segments[:keep]

    def _remove(self, segment: Segment) -> None:
        segment.close()
        unlink_all(self._files, segment_paths(segment.directory, segment.base_offset))
        if segment.base_offset in self._found[SNAPSHOT_SUFFIX]:
            self._found[SNAPSHOT_SUFFIX].remove(segment.base_offset)

    def _finish(self, segments: list[Segment], end: int) -> None:
        log = self._log
        start = max(self._start_offset or 0, segments[0].base_offset)
        if start > end:
            logger.error("%s: its end %d is below its start %d: it is emptied", log.directory, end, start)
            self._cut(segments, 0, "the log begins behind it")
            segments, end = [Segment(self._files, log.directory, start)], start
            log.producers.clear()
        for offset in self._found[SNAPSHOT_SUFFIX]:
            if offset > end:
                self._files.unlink(snapshot_path(log.directory, offset))
            else:
                log.snapshot_offsets[offset] = None
        self._epochs.truncate_to(end)
        self._epochs.advance_start(start)
        log.adopt(segments, start, end, self._epochs)
        if not self._clean:
            self._await_sync(segments, end)
        for segment in segments[:-1]:
            segment.close()
        if segments[-1].size:
            segments[-1].reload_first_timestamp()

    def _await_sync(self, segments: list[Segment], end: int) -> None:
        """Only what the recovery point covers is known to be on the disk."""
        log = self._log
        synced = max(min(self._synced, end), segments[0].base_offset)
        if synced < end:
            try:
                synced = log.batch_start(synced)
                place = log.place_of(synced)
            except CorruptData as error:
                segment = log.segment_of(synced)
                synced, place = segment.base_offset, (segment, 0)
                logger.warning("it counts as synced up to %d only: %s", synced, error)
            log.synced_offset, log.synced_at = synced, place
        for segment, following in zip(segments, [*segments[1:], None], strict=True):
            if segment.size and (following is None or following.base_offset > synced):
                segment.durable = False
                log.unsynced[segment] = log.unindexed[segment] = None
