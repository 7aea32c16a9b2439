"""Finding records of a log by timestamp.

Lives here: the time index, then batch headers, then the records of one batch, which may have to be
decompressed. A batch whose header lies about its largest timestamp is believed.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from moldau.core.log.headers import BatchScan, Header
from moldau.core.log.segment import NO_TIMESTAMP, Segment
from moldau.core.log.stored import StoredLog
from moldau.core.protocol.batch import APPEND_TIME, RecordBatch

logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """A record: where it is, its timestamp, the leader epoch of its batch."""

    offset: int
    timestamp: int
    leader_epoch: int


def first_since(log: StoredLog, timestamp: int, upto: int) -> Found | None:
    """The first record below `upto` that is not older than `timestamp`. Raises OSError, CorruptData."""
    for segment in log.segments:
        if segment.base_offset >= upto:
            return None
        if segment.max_timestamp < timestamp:
            continue
        found = _search(log, segment, _start(log, segment, timestamp), timestamp, upto)
        if found is not None:
            return found
    return None


def newest(log: StoredLog, upto: int) -> Found | None:
    """The first record below `upto` with the largest timestamp there is. Raises OSError, CorruptData."""
    best: tuple[int, Segment, int] | None = None
    for segment in log.segments:
        if segment.base_offset >= upto:
            break
        timestamp, offset = segment.max_timestamp, segment.max_timestamp_offset
        if offset >= upto:
            timestamp, offset = _newest_below(log, segment, upto)
        if timestamp != NO_TIMESTAMP and offset >= log.start_offset and (best is None or timestamp > best[0]):
            best = (timestamp, segment, offset)
    return None if best is None else _search(log, best[1], best[2], best[0], upto)


def _start(log: StoredLog, segment: Segment, timestamp: int) -> int:
    """From where on the segment is searched: below that offset every record is older."""
    entry = segment.times.floor(timestamp)
    if entry is None or entry[1] < log.start_offset:
        return segment.base_offset
    for _, _, header in _scan(log, segment, log.place_of(entry[1])[1]):
        if (header[8], header[0] + header[6]) == entry:
            return entry[1]
        break
    logger.warning("%s: the time index entry %s does not fit the log", segment.path(), entry)
    return segment.base_offset


def _newest_below(log: StoredLog, segment: Segment, upto: int) -> tuple[int, int]:
    """The largest timestamp below `upto`, and the last offset of its batch; the segment's newest lies beyond."""
    timestamp, offset, start = NO_TIMESTAMP, segment.base_offset, 0
    known = [entry for entry in segment.times.entries() if entry[1] < upto]
    if known:
        timestamp, offset = known[-1]
        start = log.place_of(offset)[1]
    for _, _, header in _scan(log, segment, start):
        if header[0] >= upto:
            break
        if header[8] > timestamp:
            timestamp, offset = header[8], header[0] + header[6]
    return timestamp, offset


def _search(log: StoredLog, segment: Segment, start_offset: int, timestamp: int, upto: int) -> Found | None:
    start = log.place_of(max(start_offset, segment.base_offset, log.start_offset))
    if start[0] is not segment:
        return None
    for position, size, header in _scan(log, segment, start[1]):
        if header[0] >= upto:
            return None
        if header[8] >= timestamp:
            found = _in_batch(log, segment, (position, size), header, timestamp)
            if found is not None:
                return found
    return None


def _in_batch(log: StoredLog, segment: Segment, place: tuple[int, int], header: Header, timestamp: int) -> Found | None:
    if header[5] & APPEND_TIME:
        return Found(max(header[0], log.start_offset), header[8], header[2])
    position, size = place
    batch = RecordBatch(log.files.pread(log.opened(segment).handle, size, position))
    for record in batch.records():
        if record.timestamp >= timestamp and record.offset >= log.start_offset:
            return Found(record.offset, record.timestamp, header[2])
    return None


def _scan(log: StoredLog, segment: Segment, start: int) -> BatchScan:
    return BatchScan(log.files, log.opened(segment).handle, start, segment.size, check=False)
