"""Carries out what `raft.py` decides: on the `__cluster_metadata` log, the snapshots beside it and `quorum-state`.

What the entries mean is the state machine's (core.metadata). The high watermark is the synced offset of a
majority, which for one voter is this log's; nothing above it is told to the state machine as committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from moldau.core.base.clock import Clock
from moldau.core.base.errors import CorruptData, ErrorCode, InvariantBroken, Refusal, StorageError
from moldau.core.base.files import Files
from moldau.core.base.options import INT_MAX, MIB, option
from moldau.core.base.workers import Worker
from moldau.core.log.config import LogConfig
from moldau.core.protocol.stored.raft import LeaderChangeMessage, VotersRecord
from moldau.core.quorum import election, snapshot
from moldau.core.quorum.election import ElectionState
from moldau.core.quorum.entries import ControlType, Entry, control_batch, data_batch, read_entries
from moldau.core.quorum.raft import Elect, Raft, Ready, Synced
from moldau.core.quorum.snapshot import SnapshotId, SnapshotStore
from moldau.core.quorum.voters import (
    STATIC_VOTERS,
    ReplicaKey,
    Voter,
    VoterSet,
    from_record,
    leader_change_voters,
)

if TYPE_CHECKING:
    from moldau.core.log.partition_log import PartitionLog

log = logging.getLogger("moldau.quorum")

# Kafka's fixed id of the metadata topic.
METADATA_TOPIC_ID = bytes(15) + b"\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumConfig:
    """How the metadata log is kept."""

    snapshot_bytes: int = option(
        "metadata.log.max.record.bytes.between.snapshots",
        20 * MIB,
        at_least=1,
        doc="Bytes of metadata after which a snapshot is written and the log before it goes.",
    )
    segment_bytes: int = option(
        "metadata.log.segment.bytes",
        8 * MIB,
        at_least=MIB,
        at_most=INT_MAX,
        doc="Bytes after which the metadata log begins a new file; whole files go after a snapshot.",
    )

    def log_config(self) -> LogConfig:
        """The options of the metadata log: snapshots shorten it, never age or size."""
        return LogConfig(segment_bytes=self.segment_bytes, retention_ms=-1, retention_bytes=-1)


class Host(NamedTuple):
    """What the machine gives. `defer` runs a call in the loop's next turn."""

    files: Files
    clock: Clock
    worker: Worker
    defer: Callable[[Callable[[], None]], None]


class StateMachine(Protocol):
    """Who the entries are for."""

    def committed(self, offset: int) -> None:
        """Everything below `offset` is agreed and durable."""

    def failed(self, end_offset: int) -> None:
        """Entries from `end_offset` on will never be committed: they could not be written, or not be synced."""


class QuorumDriver:
    """One voter at work. `recover` first, to its end; then `lead`; then `append`."""

    def __init__(self, metadata_log: PartitionLog, directory: str, host: Host, me: ReplicaKey, config: QuorumConfig):
        self.log = metadata_log
        metadata_log.topic_id = (
            METADATA_TOPIC_ID  # a directory that Apache Kafka formatted has no file that says so yet
        )
        metadata_log.reconfigure(config.log_config())
        self._directory = directory
        self._host = host
        self._config = config
        self._snapshots = SnapshotStore(host.files, directory)
        self._raft = Raft(me, VoterSet((Voter(me),), STATIC_VOTERS), ElectionState())
        self._machine: StateMachine | None = None
        self._bytes_since_snapshot = 0
        self._snapshot_running = False

    @property
    def epoch(self) -> int:
        """This leader's epoch; 0 before the first."""
        return self._raft.epoch

    @property
    def end_offset(self) -> int:
        """The offset that the next entry gets."""
        return self.log.end_offset

    @property
    def high_watermark(self) -> int:
        """Everything below is committed."""
        return self._raft.high_watermark

    def recover(self) -> Iterator[Entry]:
        """Everything stored, in order: the newest snapshot, then the log after it.

        A snapshot's entries all carry the offset and epoch that the snapshot is of. Raises StorageError for a
        directory that cannot be carried on.
        """
        newest = self._snapshots.newest()
        epoch = self._stored_election().epoch
        offset = 0
        voters = self._raft.voters
        try:
            if newest is not None:
                epoch, offset = max(epoch, newest.epoch), newest.offset
                for entry in snapshot.decode(self._snapshots.read(newest), newest.file):
                    voters = _voters_of(entry, voters)
                    yield entry._replace(last_offset=offset - 1, epoch=newest.epoch)
            self._check_reach(offset)
            for batch in self.log.batches(offset, self.log.end_offset):
                self._bytes_since_snapshot += len(batch)
                for entry in read_entries(batch):
                    epoch = max(epoch, entry.epoch)
                    voters = _voters_of(entry, voters)
                    yield entry
        except (CorruptData, OSError) as error:
            raise StorageError(f"{self._directory}: {error}") from error
        self._raft = Raft(self._raft.me, voters, ElectionState(epoch=epoch))

    def lead(self, machine: StateMachine) -> None:
        """Become the leader of a new epoch.

        Raises StorageError where this node is not the one voter, or where its vote cannot be written.
        """
        self._check_voters()
        self._machine = machine
        self.log.listener = self
        try:
            self._carry_out(self._raft.step(Elect(self.log.end_offset)))
        except OSError as error:
            raise StorageError(f"{self._directory} cannot be written: {error}") from error

    def append(self, values: Sequence[bytes]) -> int | Refusal:
        """Append entries that take effect together; returns the log's new end. They count when committed."""
        return self._append(data_batch(values, 0, self.epoch, self._host.clock.wall_ms()))

    @property
    def snapshot_due(self) -> bool:
        """Whether enough was appended since the last snapshot, and none is being written."""
        return not self._snapshot_running and self._bytes_since_snapshot >= self._config.snapshot_bytes

    def take_snapshot(self, id: SnapshotId, values: Iterator[bytes], timestamp_ms: int) -> None:
        """Write a snapshot of committed state, some records a loop turn, then shorten the log.

        `values` must not change while this runs. Failures are logged and tried again after as many bytes.
        """
        if id.offset > self.high_watermark:
            raise InvariantBroken(f"a snapshot at {id.offset} is beyond what is committed, {self.high_watermark}")
        self._snapshot_running = True
        self._bytes_since_snapshot = 0
        batches = snapshot.encode(id, self._raft.voters, values, timestamp_ms, self._host.clock.wall_ms())
        self._continue_snapshot(id, batches, [])

    def _continue_snapshot(self, id: SnapshotId, batches: Iterator[bytes], done: list[bytes]) -> None:
        batch = next(batches, None)
        if batch is not None:
            done.append(batch)
            self._host.defer(lambda: self._continue_snapshot(id, batches, done))
            return
        content = b"".join(done)
        self._host.worker.submit(
            lambda: self._snapshots.write(id, content), lambda _none, error: self._snapshot_written(id, error)
        )

    def _snapshot_written(self, id: SnapshotId, error: BaseException | None) -> None:
        self._snapshot_running = False
        if error is not None:
            log.error("snapshot %s could not be written: %s; the log stays longer", id.file, error)
            return
        self.log.advance_start_offset(id.offset)
        log.info("snapshot %s written", id.file)

    def on_written(self) -> None:
        """Written is not agreed: nothing to do."""

    def on_synced(self) -> None:
        self._carry_out(self._raft.step(Synced(self._raft.me.id, self.log.synced_offset)))

    def on_failed(self, error: ErrorCode) -> None:
        """With followers a leader would have to resign here; alone, it goes on from what its log still holds."""
        log.error("the metadata log failed: %s", error.name)
        if self._machine is not None:
            self._machine.failed(self.high_watermark if self.log.offline else self.log.end_offset)

    def _carry_out(self, ready: Ready) -> None:
        """In the order that `raft.py` states."""
        if ready.election is not None:
            self._host.files.make_directory(self._directory)
            self._host.files.write_file(f"{self._directory}/{election.FILE}", election.encode(ready.election))
        if ready.opening is not None:
            self._open_epoch(ready.opening)
        if ready.high_watermark is not None and self._machine is not None:
            self._machine.committed(ready.high_watermark)

    def _open_epoch(self, granted: Sequence[int]) -> None:
        change = LeaderChangeMessage(
            leader_id=self._raft.me.id,
            voters=leader_change_voters(self._raft.voters.ids),
            granting_voters=leader_change_voters(granted),
        )
        batch = control_batch([(ControlType.LEADER_CHANGE, change)], 0, self.epoch, self._host.clock.wall_ms())
        outcome = self._append(batch)
        if isinstance(outcome, Refusal):
            raise StorageError(f"{self._directory}: the metadata log takes nothing: {outcome.message}")

    def _append(self, batch: bytes) -> int | Refusal:
        outcome = self.log.append(batch, self.epoch, internal=True)
        if isinstance(outcome, Refusal):
            return outcome
        if not isinstance(outcome, int):
            raise InvariantBroken("the metadata log took a batch for a producer's duplicate")
        self._bytes_since_snapshot += len(batch)
        return self.log.end_offset

    def _stored_election(self) -> ElectionState:
        path = f"{self._directory}/{election.FILE}"
        if not self._host.files.exists(path):
            return ElectionState()
        try:
            return election.decode(self._host.files.read_file(path))
        except CorruptData as error:
            raise StorageError(f"{self._directory}: {error}") from error

    def _check_reach(self, offset: int) -> None:
        """The snapshot must meet the log, or history is missing."""
        if self.log.start_offset > offset:
            raise CorruptData(f"the log starts at {self.log.start_offset}, but the newest snapshot ends at {offset}")
        if self.log.end_offset < offset:
            raise CorruptData(f"the log ends at {self.log.end_offset}, before the newest snapshot ends, at {offset}")

    def _check_voters(self) -> None:
        voters, me = self._raft.voters, self._raft.me
        if voters.ids != (me.id,):
            raise StorageError(
                f"{self._directory} belongs to a metadata quorum of nodes {', '.join(map(str, voters.ids))}; "
                f"this release serves a quorum of one, and this node is {me.id}"
            )
        if voters.kraft_version > STATIC_VOTERS and voters.voters[0].key != me:
            raise StorageError(
                f"{self._directory}: the voter is another directory of node {me.id}: this one was formatted anew "
                "or came from elsewhere"
            )


def _voters_of(entry: Entry, before: VoterSet) -> VoterSet:
    voters = before
    for kind, record in entry.control:
        if kind is ControlType.KRAFT_VOTERS and isinstance(record, VotersRecord):
            voters = from_record(record)
    return voters
