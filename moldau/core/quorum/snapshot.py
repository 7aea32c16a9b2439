"""Snapshots of the metadata: `<end offset>-<epoch>.checkpoint` beside the log, Kafka's format.

    control batch   SnapshotHeader, KRaftVersion and Voters when voters are logged
    data batches    the records that make the state again
    control batch   SnapshotFooter

Crash story: a snapshot is written under another name and renamed when it is durable, so a file with this name is
whole; the log before it goes only after that. What a crash left half-written is removed at the next start.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from moldau.core.base.errors import CorruptData
from moldau.core.base.files import Files
from moldau.core.protocol.stored.raft import KRaftVersionRecord, SnapshotFooterRecord, SnapshotHeaderRecord
from moldau.core.quorum.entries import ControlType, Entry, control_batch, data_batch, read_entries
from moldau.core.quorum.voters import LOGGED_VOTERS, VoterSet, to_record

log = logging.getLogger("moldau.quorum")

# Records of one batch: small enough that encoding one does not hold the loop for long.
BATCH_RECORDS = 500

_NAME = re.compile(r"(\d{20})-(\d{10})\.checkpoint")
_LEFTOVER = re.compile(r"\d{20}-\d{10}\.checkpoint\.(tmp|part|deleted)")


class SnapshotId(NamedTuple):
    """What a snapshot holds: everything below `offset`; `epoch` is that of its last record."""

    offset: int
    epoch: int

    @property
    def file(self) -> str:
        return f"{self.offset:020d}-{self.epoch:010d}.checkpoint"


def encode(
    id: SnapshotId, voters: VoterSet, values: Iterable[bytes], timestamp_ms: int, now_ms: int
) -> Iterator[bytes]:
    """The file's batches, one at a time. `timestamp_ms` is that of the last record of the log it holds."""
    header: list[tuple[ControlType, object]] = [
        (ControlType.SNAPSHOT_HEADER, SnapshotHeaderRecord(last_contained_log_timestamp=timestamp_ms))
    ]
    if voters.kraft_version >= LOGGED_VOTERS:
        header.append((ControlType.KRAFT_VERSION, KRaftVersionRecord(kraft_version=voters.kraft_version)))
        header.append((ControlType.KRAFT_VOTERS, to_record(voters)))
    yield control_batch(header, 0, id.epoch, now_ms)
    offset = len(header)
    chunk: list[bytes] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == BATCH_RECORDS:
            yield data_batch(chunk, offset, id.epoch, now_ms)
            offset += len(chunk)
            chunk = []
    if chunk:
        yield data_batch(chunk, offset, id.epoch, now_ms)
        offset += len(chunk)
    yield control_batch([(ControlType.SNAPSHOT_FOOTER, SnapshotFooterRecord())], offset, id.epoch, now_ms)


def decode(content: bytes, name: str) -> Iterator[Entry]:
    """The file's batches. Raises CorruptData for a broken batch, and where header or footer is missing."""
    last: Entry | None = None
    for entry in read_entries(content):
        if last is None and not entry.has(ControlType.SNAPSHOT_HEADER):
            raise CorruptData(f"snapshot {name} has no header")
        last = entry
        yield entry
    if last is None or not last.has(ControlType.SNAPSHOT_FOOTER):
        raise CorruptData(f"snapshot {name} has no footer")


class SnapshotStore:
    """The snapshots of one metadata directory."""

    def __init__(self, files: Files, directory: str) -> None:
        self._files = files
        self._directory = directory

    def newest(self) -> SnapshotId | None:
        """The snapshot to start from. Removes what a crash left half-written."""
        for name in self._names():
            if _LEFTOVER.fullmatch(name):
                self._files.unlink(f"{self._directory}/{name}")
        return max(self._ids(), default=None)

    def read(self, id: SnapshotId) -> bytes:
        return self._files.read_file(f"{self._directory}/{id.file}")

    def write(self, id: SnapshotId, content: bytes) -> None:
        """Make a snapshot durable, then remove the older ones. Blocks; raises OSError."""
        self._files.write_file(f"{self._directory}/{id.file}", content)
        for other in self._ids():
            if other < id:
                self._files.unlink(f"{self._directory}/{other.file}")

    def _names(self) -> list[str]:
        return self._files.list(self._directory) if self._files.is_directory(self._directory) else []

    def _ids(self) -> list[SnapshotId]:
        return [SnapshotId(int(found[1]), int(found[2])) for name in self._names() if (found := _NAME.fullmatch(name))]
