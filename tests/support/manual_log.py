"""A partition's log in memory whose syncs and failures happen when a test says so.

Has the methods of `PartitionLog` that the quorum uses; what a real one does on a disk is tested with real files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from moldau.core.base.clock import ManualClock
from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.workers import InlineWorker, Worker
from moldau.core.log.config import LogConfig
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.seams import LogListener
from moldau.core.metadata import storage
from moldau.core.metadata.controller import Controller, ControllerSettings
from moldau.core.metadata.creation import Defaults, NewTopic
from moldau.core.protocol.batch import HEADER, RecordBatch
from moldau.core.quorum.driver import Host, QuorumConfig, QuorumDriver
from moldau.core.quorum.voters import ReplicaKey, VoterEndpoint
from tests.support.images import Random
from tests.support.memory_files import MemoryFiles

DATA = "/data"
DIRECTORY = f"{DATA}/{storage.METADATA_DIRECTORY}"


class ManualLog:
    """Batches by base offset. `sync` makes them durable; `fail` takes back what is not written."""

    def __init__(self) -> None:
        self.stored: dict[int, bytes] = {}
        self.start_offset = self.end_offset = self.synced_offset = 0
        self.offline = False
        self.refusal: Refusal | None = None
        self.listener: LogListener | None = None
        self.config = LogConfig()

    def reconfigure(self, config: LogConfig) -> None:
        self.config = config

    def append(self, batch: bytes, leader_epoch: int, *, internal: bool = False) -> int | Refusal:
        assert internal
        if self.refusal is not None:
            return self.refusal
        header = list(HEADER.unpack_from(batch))
        assert header[0] == 0
        base = self.end_offset
        header[0], header[2] = base, leader_epoch
        self.stored[base] = HEADER.pack(*header) + batch[HEADER.size :]
        self.end_offset = RecordBatch(self.stored[base]).next_offset
        return base

    def batches(self, from_offset: int, upto: int) -> Iterator[bytes]:
        for batch in list(self.stored.values()):
            view = RecordBatch(batch)
            if from_offset < view.next_offset <= upto:
                yield batch

    def advance_start_offset(self, offset: int) -> None:
        self.start_offset = offset
        self.stored = {base: batch for base, batch in self.stored.items() if RecordBatch(batch).next_offset > offset}

    def sync(self, upto: int | None = None) -> None:
        """Everything appended, or what is below `upto`, becomes durable."""
        self.synced_offset = self.end_offset if upto is None else upto
        assert self.listener is not None
        self.listener.on_synced()

    def fail(self, end_offset: int) -> None:
        """What was appended from `end_offset` on could not be written."""
        self.stored = {base: batch for base, batch in self.stored.items() if base < end_offset}
        self.end_offset = end_offset
        assert self.listener is not None
        self.listener.on_failed(ErrorCode.KAFKA_STORAGE_ERROR)

    def break_disk(self) -> None:
        """A sync failed: nothing more will ever be durable."""
        self.offline = True
        self.refusal = Refusal(ErrorCode.KAFKA_STORAGE_ERROR)
        assert self.listener is not None
        self.listener.on_failed(ErrorCode.KAFKA_STORAGE_ERROR)

    def restarted(self) -> ManualLog:
        """What a new process finds after everything written survived."""
        other = ManualLog()
        other.stored = dict(self.stored)
        other.start_offset, other.end_offset = self.start_offset, self.end_offset
        other.synced_offset = self.end_offset
        return other


class Deferred:
    """Calls put off to the next loop turn, run when told."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def __call__(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def run(self) -> int:
        """Run all, and those that they put off; how many there were."""
        count = 0
        while self.calls:
            self.calls.pop(0)()
            count += 1
        return count


class Node:
    """One node's quorum and controller over a manual log and files in memory."""

    def __init__(
        self,
        files: MemoryFiles | None = None,
        log: ManualLog | None = None,
        *,
        config: QuorumConfig | None = None,
        defaults: Defaults | None = None,
        worker: Worker | None = None,
        random: Random | None = None,
    ) -> None:
        self.files = files or MemoryFiles()
        self.log = log or ManualLog()
        self.clock = ManualClock()
        self.deferred = Deferred()
        self.random = random or Random()
        formatter = storage.Formatter(
            self.files, self.clock, self.random, VoterEndpoint("CONTROLLER", "localhost", 9093)
        )
        self.identity = storage.prepare(formatter, [DATA], 1, "")
        self.host = Host(self.files, self.clock, worker or InlineWorker(), self.deferred)
        self.me = ReplicaKey(1, self.identity.directory_ids[0])
        self.config = config or QuorumConfig()
        self.quorum = QuorumDriver(cast(PartitionLog, self.log), DIRECTORY, self.host, self.me, self.config)
        internal = {
            "__consumer_offsets": NewTopic("__consumer_offsets", 4, 3, configs=(("cleanup.policy", "compact"),))
        }
        bootstrap = storage.read_bootstrap(self.files, DATA)
        settings = ControllerSettings(self.identity.cluster_id, defaults or Defaults(), internal, bootstrap)
        self.controller = Controller(self.quorum, settings, self.clock, self.random)

    def again(self) -> Node:
        """The node after a restart in which everything written survived."""
        return Node(self.files, self.log.restarted(), config=self.config, random=self.random)
