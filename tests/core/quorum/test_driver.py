"""The driver: recovery, leading, the high watermark, snapshots; with a toy state machine and files in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from moldau.core.base.errors import ErrorCode, InvariantBroken, Refusal, StorageError
from moldau.core.base.workers import Done, Work
from moldau.core.log.partition_log import PartitionLog
from moldau.core.protocol.stored.raft import VotersRecord
from moldau.core.quorum import election, snapshot
from moldau.core.quorum.driver import QuorumConfig, QuorumDriver
from moldau.core.quorum.election import ElectionState
from moldau.core.quorum.entries import ControlType, control_batch, read_entries
from moldau.core.quorum.snapshot import SnapshotId
from moldau.core.quorum.voters import ReplicaKey, Voter, VoterSet, to_record
from tests.support.manual_log import DIRECTORY, Node


class Machine:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.commits: list[int] = []
        self.failures: list[int] = []

    def committed(self, offset: int) -> None:
        self.commits.append(offset)

    def failed(self, end_offset: int) -> None:
        self.failures.append(end_offset)


class LateWorker:
    """Runs work when told."""

    def __init__(self) -> None:
        self.queue: list[tuple[Work, Done]] = []

    def submit(self, work: Work, done: Done) -> None:
        self.queue.append((work, done))

    def close(self) -> None:
        """Nothing to stop."""

    def run(self) -> None:
        for work, done in self.queue:
            try:
                done(work(), None)
            except OSError as error:
                done(None, error)
        self.queue = []


def recovered(node: Node) -> list[bytes]:
    return [value for entry in node.quorum.recover() for value in entry.values]


def leading(node: Node | None = None) -> tuple[Node, Machine]:
    node, machine = node or Node(), Machine()
    recovered(node)
    node.quorum.lead(machine)
    return node, machine


def test_a_leader_opens_its_epoch_and_keeps_it() -> None:
    node, machine = leading()
    assert node.quorum.epoch == 1
    stored = election.decode(node.files.read_file(f"{DIRECTORY}/quorum-state"))
    assert stored == ElectionState(1, 1)
    (entry,) = read_entries(node.log.stored[0])
    assert entry.has(ControlType.LEADER_CHANGE)
    assert machine.commits == []
    node.log.sync()
    assert machine.commits == [1]


def test_the_election_is_durable_before_the_epoch_is_opened() -> None:
    node = Node()
    recovered(node)
    order: list[str] = []
    write, append = node.files.write_file, node.log.append
    node.files.write_file = lambda path, content: (order.append("vote"), write(path, content))[1]  # type: ignore[method-assign]
    node.log.append = lambda *args, **more: (order.append("open"), append(*args, **more))[1]  # type: ignore[method-assign,func-returns-value]
    node.quorum.lead(Machine())
    assert order == ["vote", "open"]


def test_every_start_has_a_new_epoch_even_when_nothing_was_written() -> None:
    node, _ = leading()
    again, _ = leading(Node(node.files))  # the log is empty again: the batch was never written
    assert again.quorum.epoch == 2
    third, _ = leading(again.again())
    assert third.quorum.epoch == 3


def test_entries_are_committed_when_synced_and_recovered_in_order() -> None:
    node, machine = leading()
    assert node.quorum.append([b"a", b"b"]) == 3
    assert node.quorum.append([b"c"]) == 4
    node.log.sync(3)
    node.log.sync()
    assert machine.commits == [3, 4]
    assert node.quorum.high_watermark == 4
    assert recovered(node.again()) == [b"a", b"b", b"c"]


def test_refusals_and_failures_reach_the_state_machine() -> None:
    node, machine = leading()
    node.log.sync()
    node.log.refusal = Refusal(ErrorCode.REQUEST_TIMED_OUT)
    assert node.quorum.append([b"a"]) == node.log.refusal
    node.log.refusal = None
    node.quorum.append([b"b"])
    node.log.fail(1)
    node.quorum.append([b"c"])
    node.log.break_disk()
    assert machine.failures == [1, 1]


def test_a_log_that_takes_nothing_stops_the_start() -> None:
    node = Node()
    node.log.refusal = Refusal(ErrorCode.KAFKA_STORAGE_ERROR, "full")
    with pytest.raises(StorageError, match="full"):
        leading(node)


def test_a_vote_that_cannot_be_written_stops_the_start() -> None:
    node = Node()
    node.files.capacity = 0
    with pytest.raises(StorageError, match="cannot be written"):
        leading(node)


def small(worker: Any = None) -> Node:
    return Node(config=QuorumConfig(snapshot_bytes=100), worker=worker)


def test_a_snapshot_is_written_in_steps_and_shortens_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "BATCH_RECORDS", 2)
    worker = LateWorker()
    node, _ = leading(small(worker))
    assert not node.quorum.snapshot_due
    node.quorum.append([b"a", b"b"])
    assert node.quorum.snapshot_due
    node.log.sync()
    node.quorum.take_snapshot(SnapshotId(3, 1), iter([b"1", b"2", b"3"]), 99)
    assert not node.quorum.snapshot_due
    assert node.deferred.run() == 4  # header, two batches, footer
    assert node.log.start_offset == 0
    worker.run()
    assert node.log.start_offset == 3
    assert [name for name in node.files.list(DIRECTORY) if name.endswith(".checkpoint")] == [SnapshotId(3, 1).file]
    node.quorum.append([b"c"])
    entries = list(node.again().quorum.recover())
    assert [value for entry in entries for value in entry.values] == [b"1", b"2", b"3", b"c"]
    assert [entry.last_offset for entry in entries if entry.values] == [2, 2, 3]


def test_a_snapshot_of_what_is_not_committed_is_a_bug() -> None:
    node, _ = leading(small())
    node.quorum.append([b"a"])
    with pytest.raises(InvariantBroken):
        node.quorum.take_snapshot(SnapshotId(2, 1), iter([]), 0)


def test_a_snapshot_that_cannot_be_written_is_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    worker = LateWorker()
    node, _ = leading(small(worker))
    node.quorum.append([b"a" * 50])
    node.log.sync()
    node.files.capacity = 0
    node.quorum.take_snapshot(SnapshotId(2, 1), iter([b"1"]), 99)
    node.deferred.run()
    worker.run()
    assert "could not be written" in caplog.text
    assert node.log.start_offset == 0
    node.files.capacity = None
    assert not node.quorum.snapshot_due
    node.quorum.append([b"b" * 50])
    assert node.quorum.snapshot_due
    assert recovered(node.again()) == [b"a" * 50, b"b" * 50]


def test_only_snapshots_shorten_the_log() -> None:
    config = Node(config=QuorumConfig(segment_bytes=1 << 21)).log.config
    assert (config.segment_bytes, config.retention_ms, config.retention_bytes) == (1 << 21, -1, -1)


def test_history_that_is_missing_stops_the_start() -> None:
    node, _ = leading()
    node.log.advance_start_offset(1)
    with pytest.raises(StorageError, match="starts at 1, but the newest snapshot ends at 0"):
        recovered(node.again())
    lost = Node(node.files)
    node.files.write_file(
        f"{DIRECTORY}/{SnapshotId(5, 1).file}", b"".join(snapshot.encode(SnapshotId(5, 1), VoterSet(()), [], 0, 0))
    )
    with pytest.raises(StorageError, match="ends at 0, before the newest snapshot"):
        recovered(lost)


@pytest.mark.parametrize("name", ["quorum-state", SnapshotId(0, 0).file])
def test_broken_files_stop_the_start(name: str) -> None:
    node, _ = leading()
    node.files.write_file(f"{DIRECTORY}/{name}", b"x" * 70)
    with pytest.raises(StorageError, match=DIRECTORY):
        recovered(node.again())


def with_voters(change: Callable[[Node], VoterSet]) -> Node:
    node, _ = leading()
    record: VotersRecord = to_record(change(node))
    node.log.append(control_batch([(ControlType.KRAFT_VOTERS, record)], 0, 1, 0), 1, internal=True)
    return node.again()


def test_a_quorum_of_others_is_not_joined() -> None:
    node = with_voters(lambda node: VoterSet((Voter(node.me), Voter(ReplicaKey(2, bytes(16))))))
    with pytest.raises(StorageError, match="a metadata quorum of nodes 1, 2"):
        leading(node)


def test_the_vote_of_another_directory_is_not_used() -> None:
    node = with_voters(lambda node: VoterSet((Voter(ReplicaKey(1, b"o" * 16)),)))
    with pytest.raises(StorageError, match="another directory of node 1"):
        leading(node)


def test_a_directory_with_static_voters_is_carried_on() -> None:
    """Apache Kafka with controller.quorum.voters leaves neither snapshot nor voters behind."""
    node = Node()
    node.files.unlink(f"{DIRECTORY}/{SnapshotId(0, 0).file}")
    driver = QuorumDriver(cast(PartitionLog, node.log), DIRECTORY, node.host, node.me, node.config)
    assert list(driver.recover()) == []
    driver.lead(Machine())
    assert driver.epoch == 1
