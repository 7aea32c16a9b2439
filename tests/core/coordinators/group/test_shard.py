"""One shard: commits and reads of offsets, and what a log brings back."""

from __future__ import annotations

import logging

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.base.ids import ZERO_UUID
from moldau.core.coordinators import batches
from moldau.core.coordinators.group import records
from moldau.core.coordinators.group.asks import FetchedOffset, FetchedTopic, WantedOffsets
from moldau.core.coordinators.group.config import GroupConfig
from moldau.core.coordinators.group.records import Offset, OffsetKey
from moldau.core.coordinators.group.shard import GroupShard
from moldau.core.coordinators.group.states import GroupState
from moldau.core.coordinators.shard import Moment, StoredRecord
from moldau.core.protocol.batch import Producer, Record, build_batch
from tests.support.groups import GROUP, Asked, Groups

OLD_ID, NEW_ID = b"1" * 16, b"2" * 16


# Committing


def test_members_commit_in_their_generation() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    generation = groups.generation()
    assert groups.commit(5, member=leader, generation=generation).error is ErrorCode.NONE
    assert groups.commit(6, member=follower, generation=generation - 1).error is ErrorCode.ILLEGAL_GENERATION
    assert groups.commit(6, member="stranger", generation=generation).error is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.commit(6, member=leader).error is ErrorCode.ILLEGAL_GENERATION
    assert groups.commit(6).error is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.committed() == {("t", 0): 5}


def test_commits_wait_for_the_assignment_but_not_for_the_join() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    generation = groups.generation()
    groups.join(leader)
    assert groups.commit(5, member=follower, generation=generation).error is ErrorCode.NONE
    groups.join(follower)
    late = groups.commit(6, member=leader, generation=generation + 1)
    assert late.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_a_commit_counts_as_a_heartbeat() -> None:
    groups = Groups()
    [member] = groups.stable(1)
    for offset in range(4):
        groups.wait(9_000)
        assert groups.commit(offset, member=member, generation=1).error is ErrorCode.NONE


def test_without_members_anyone_commits() -> None:
    groups = Groups()
    assert groups.commit(5).error is ErrorCode.NONE
    described = groups.describe()
    assert (described.state, described.protocol_type, described.members) == (GroupState.EMPTY, "", ())
    assert groups.commit(6, member="whoever").error is ErrorCode.NONE
    assert groups.commit(7, group="").error is ErrorCode.NONE
    assert groups.committed("") == {("t", 0): 7}


@pytest.mark.parametrize(("version", "error"), [(8, ErrorCode.ILLEGAL_GENERATION), (9, ErrorCode.GROUP_ID_NOT_FOUND)])
def test_a_generation_of_an_unknown_group(version: int, error: ErrorCode) -> None:
    assert Groups().commit(5, member="m", generation=1, version=version).error is error


def test_a_generation_of_an_empty_group() -> None:
    groups = Groups()
    groups.leave(*groups.stable(1))
    assert groups.commit(5, member="m", generation=2).error is ErrorCode.UNKNOWN_MEMBER_ID


def test_long_metadata_is_refused_by_partition() -> None:
    groups = Groups(offset_metadata_max_bytes=4)
    assert groups.commit(5, metadata="1234").answer == [ErrorCode.NONE]
    assert groups.commit(6, metadata="12345").answer == [ErrorCode.OFFSET_METADATA_TOO_LARGE]
    assert groups.commit(7, metadata="\U0001f600\U0001f600").answer == [ErrorCode.NONE]  # 4 units of UTF-16
    assert groups.commit(8, metadata="\U0001f600\U0001f600!").answer == [ErrorCode.OFFSET_METADATA_TOO_LARGE]
    assert groups.committed() == {("t", 0): 7}


def test_a_negative_offset_is_stored_as_any_other() -> None:
    groups = Groups()
    groups.commit(-5)
    assert groups.committed() == {("t", 0): -5}


# Reading


def fetched(groups: Groups, *wanted: WantedOffsets) -> list[FetchedTopic]:
    return list(Asked(groups.coordinator.fetch(GROUP, list(wanted), require_stable=False)).answer)


def test_what_nobody_committed_is_minus_one() -> None:
    groups = Groups()
    nothing = [FetchedTopic("t", ZERO_UUID, (FetchedOffset(0), FetchedOffset(9)))]
    assert fetched(groups, WantedOffsets("t", ZERO_UUID, [0, 9])) == nothing
    groups.commit(5, metadata="m")
    [topic] = fetched(groups, WantedOffsets("t", ZERO_UUID, [0, 9]))
    assert topic.partitions == (FetchedOffset(0, 5, -1, "m"), FetchedOffset(9))


def test_all_topics_are_those_with_offsets() -> None:
    groups = Groups()
    for topic, partition in (("a", 1), ("b", 0), ("a", 0)):
        groups.commit(partition, topic=topic, partition=partition)
    assert groups.committed() == {("a", 1): 1, ("b", 0): 0, ("a", 0): 0}
    assert groups.committed("nobody's") == {}


@pytest.mark.parametrize(
    ("committed", "wanted", "is_found"),
    [(OLD_ID, OLD_ID, True), (OLD_ID, NEW_ID, False), (ZERO_UUID, NEW_ID, True), (OLD_ID, ZERO_UUID, True)],
)
def test_a_topic_that_was_made_again_starts_anew(committed: bytes, wanted: bytes, is_found: bool) -> None:
    groups = Groups()
    groups.commit(5, topic_id=committed)
    [topic] = fetched(groups, WantedOffsets("t", wanted, [0]))
    assert topic.partitions[0].offset == (5 if is_found else -1)


def test_deleted_topics_are_forgotten() -> None:
    groups = Groups()
    groups.commit(5, topic="gone")
    groups.commit(6, topic="gone", group="only this")
    groups.commit(7, topic="stays")
    groups.coordinator.on_topics_deleted(["gone"])
    assert groups.committed() == {("stays", 0): 7}
    assert groups.state("only this") is GroupState.DEAD
    groups.restart()
    assert groups.committed() == {("stays", 0): 7}


# The log


def offset_record(offset: int, partition: int = 0) -> StoredRecord:
    key = records.offset_key(OffsetKey(GROUP, "t", partition))
    return StoredRecord(key, records.offset_value(Offset(offset, -1, "", 100)))


def transactional(record: StoredRecord, producer_id: int) -> bytes:
    return build_batch([Record(0, 1, *record)], producer=Producer(producer_id, 0, 0), transactional=True)


def marker(producer_id: int, kind: int) -> bytes:
    record = Record(0, 1, b"\0\0" + kind.to_bytes(2), b"\0\0\0\0\0\0")
    return build_batch([record], producer=Producer(producer_id, 0, -1), transactional=True, control=True)


def loaded(*stored: bytes) -> GroupShard:
    shard = GroupShard(GroupConfig(), lambda: "1")
    for batch in stored:
        assert shard.load(batch) == 1
    shard.loaded(Moment(0, 0))
    return shard


def offset_in(shard: GroupShard, partition: int = 0) -> int | None:
    offset = shard.offsets.get(GROUP, "t", partition)
    return None if offset is None else offset.offset


def test_offsets_of_transactions_count_once_committed() -> None:
    begun = [transactional(offset_record(5), 7), transactional(offset_record(6, 1), 8)]
    assert offset_in(loaded(*begun)) is None
    shard = loaded(*begun, marker(7, 1), marker(8, 0))
    assert (offset_in(shard), offset_in(shard, 1)) == (5, None)
    assert set(shard.groups) == {GROUP}


def test_open_transactions_make_offsets_unstable() -> None:
    groups = Groups()
    groups.log.append(transactional(offset_record(5), 7))
    groups.restart()
    wanted = [WantedOffsets("t", ZERO_UUID, [0])]
    [topic] = Asked(groups.coordinator.fetch(GROUP, wanted, require_stable=True)).answer
    assert topic.partitions == (FetchedOffset(0, error=ErrorCode.UNSTABLE_OFFSET_COMMIT),)
    [topic] = Asked(groups.coordinator.fetch(GROUP, wanted, require_stable=False)).answer
    assert topic.partitions == (FetchedOffset(0),)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_logs_are_read(compression: str) -> None:
    assert offset_in(loaded(build_batch([Record(0, 1, *offset_record(5))], compression=compression))) == 5


def test_what_cannot_be_read_is_left_out_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    shard = GroupShard(GroupConfig(), lambda: "1")
    good = batches.build([offset_record(5)], 1)
    broken = StoredRecord(records.group_key(GROUP), b"\0\x09whatever")
    unreadable = StoredRecord(b"\0\1\0\x50", b"")
    with caplog.at_level(logging.ERROR):
        assert shard.load(good[:70]) == 0
        assert shard.load(batches.build([broken, unreadable, offset_record(5)], 1)) == 3
        assert shard.load(transactional(unreadable, 7)) == 1
    assert len(caplog.records) == 4
    assert offset_in(shard) == 5


def test_groups_of_other_kinds_are_passed_over() -> None:
    assert loaded(batches.build([StoredRecord(b"\0\3\0\1g", b"\0\0")], 1)).groups == {}


def test_a_group_that_ends_before_its_offsets_is_a_name_for_them() -> None:
    groups = Groups()
    [member] = groups.stable(1)
    groups.commit(5, member=member, generation=1)
    groups.log.append(batches.build([records.group_tombstone(GROUP)], 1))
    groups.restart()
    assert (groups.describe().protocol_type, groups.committed()) == ("", {("t", 0): 5})
    assert groups.join(member).error is ErrorCode.UNKNOWN_MEMBER_ID


def test_members_have_a_whole_session_after_a_restart() -> None:
    groups = Groups()
    [member] = groups.stable(1)
    groups.wait(9_000)
    groups.restart()
    groups.wait(9_999)
    assert groups.beat(member, 1) is ErrorCode.NONE
    groups.wait(10_000)
    assert groups.state() is GroupState.EMPTY


def test_a_rebalance_in_progress_is_forgotten_by_a_restart() -> None:
    groups = Groups()
    leader, follower = groups.stable(2)
    generation = groups.generation()
    groups.join(leader)
    groups.restart()
    assert (groups.state(), groups.generation()) == (GroupState.STABLE, generation)
    assert groups.sync(follower, generation).sync.assignment == b"1"
