"""Appending, rolling, taking back, cutting."""

from __future__ import annotations

import errno
from itertools import pairwise

import pytest

from moldau.core.base.errors import ErrorCode, InvariantBroken, Refusal
from moldau.core.base.options import INT_MAX
from moldau.core.log.config import PAGE_CACHE, LogConfig
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.producers import Duplicate, ProducerStates
from moldau.core.protocol.batch import RecordBatch
from tests.support.log_batches import TIMESTAMP, Sender, make_batch
from tests.support.log_rig import Heard, Rig, append, stored

SIZE = len(make_batch([b"x" * 50]))
SMALL = LogConfig(segment_bytes=400, index_interval_bytes=100)


def code(outcome: object) -> ErrorCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def bases(log: PartitionLog) -> list[int]:
    return [segment.base_offset for segment in log.segments]


def test_offsets_are_dense_and_batches_keep_their_bytes() -> None:
    rig = Rig()
    log = rig.log()
    batches = [make_batch([b"a"]), make_batch([b"b", b"c"]), make_batch([b"d"], attributes=0x80)]
    assert [log.append(memoryview(bytearray(batch)), 5) for batch in batches] == [0, 1, 3]
    assert (log.end_offset, log.written_offset) == (4, 0)
    rig.settle()
    assert (log.written_offset, log.synced_offset) == (4, 4)
    for given, kept, offset in zip(batches, stored(log), [0, 1, 3], strict=True):
        view = RecordBatch(kept)
        assert (view.base_offset, view.epoch) == (offset, 5)
        assert kept[16:] == given[16:]


def test_the_callers_buffer_may_be_reused() -> None:
    rig = Rig()
    log = rig.log()
    buffer = bytearray(make_batch([b"first"]))
    log.append(memoryview(buffer), 0)
    buffer[:] = bytes(len(buffer))
    rig.settle()
    assert RecordBatch(stored(log)[0]).is_intact()


def test_refusals_change_nothing() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(max_message_bytes=200))
    append(log, [b"from the third on"])
    append(log, [b"the fast checks are in use"])
    rig.settle()
    for batch, wanted in (
        (b"", ErrorCode.INVALID_RECORD),
        (make_batch([b"x" * 200]), ErrorCode.MESSAGE_TOO_LARGE),
        (make_batch()[:-1] + b"\xee", ErrorCode.CORRUPT_MESSAGE),
        (make_batch(timestamp=TIMESTAMP + 3_600_001), ErrorCode.INVALID_TIMESTAMP),
        (make_batch(sender=Sender(1, 0, -1)), ErrorCode.INVALID_RECORD),
        (make_batch(attributes=0x20), ErrorCode.INVALID_RECORD),
        (make_batch(attributes=0x10), ErrorCode.INVALID_TXN_STATE),
        (make_batch(attributes=5), ErrorCode.UNKNOWN_SERVER_ERROR),
        (make_batch(base_offset=1), ErrorCode.INVALID_RECORD),
        (make_batch(count=2), ErrorCode.INVALID_RECORD),
        (make_batch(count=0, delta=-1), ErrorCode.INVALID_RECORD),
        (make_batch(magic=1), ErrorCode.INVALID_RECORD),
        (make_batch() + make_batch(), ErrorCode.INVALID_RECORD),
    ):
        assert code(log.append(batch, 0)) == wanted
    assert log.end_offset == 2
    assert not rig.calls


def test_few_bytes_behind_a_batch_are_ignored() -> None:
    rig = Rig()
    log = rig.log()
    assert log.append(make_batch([b"v"]) + b"12345", 0) == 0
    assert log.append(make_batch([b"w"]), 0) == 1
    rig.settle()
    assert [RecordBatch(batch).size for batch in stored(log)] == [len(make_batch([b"v"]))] * 2


def test_our_own_batches_pass_the_clients_rules() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(max_message_bytes=10))
    assert log.append(make_batch(attributes=0x20, timestamp=TIMESTAMP + 10**9), 0, internal=True) == 0
    assert log.append(make_batch(), 0, internal=True) == 1


def test_a_timestamp_that_was_too_far_passes_when_its_time_comes() -> None:
    rig = Rig()
    log = rig.log()
    batch = make_batch(timestamp=TIMESTAMP + 3_600_001)
    assert code(log.append(batch, 0)) == ErrorCode.INVALID_TIMESTAMP
    rig.clock.advance(1)
    assert log.append(batch, 0) == 0


def test_the_brokers_time() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(message_timestamp_type="LogAppendTime"))
    rig.clock.advance(77)
    assert log.append(make_batch([b"a", b"b"], timestamp=5), 0) == 0
    assert log.append_time == TIMESTAMP + 77
    rig.settle()
    view = RecordBatch(stored(log)[0])
    assert view.is_intact()
    assert [record.timestamp for record in view.records()] == [TIMESTAMP + 77] * 2
    log.reconfigure(LogConfig())
    log.append(make_batch(), 0)
    assert log.append_time == -1


def test_a_producers_append_time_bit_is_taken_off() -> None:
    rig = Rig()
    log = rig.log()
    log.append(make_batch(attributes=8), 0)
    rig.settle()
    view = RecordBatch(stored(log)[0])
    assert view.attributes == 0
    assert view.is_intact()


def test_duplicates_name_the_first_append() -> None:
    rig = Rig()
    log = rig.log()
    batch = make_batch([b"a", b"b"], sender=Sender(7, 0, 0))
    append(log, [b"x"])
    assert log.append(batch, 0) == 1
    assert log.append(batch, 0) == Duplicate(1, TIMESTAMP, 3)
    assert log.synced_offset == 0  # whoever answers the retry waits for offset 3
    assert code(log.append(make_batch(sender=Sender(7, 0, 3)), 0)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.end_offset == 3


def test_epochs_begin_with_their_first_batch() -> None:
    rig = Rig()
    log = rig.log()
    for epoch in (3, 3, 5, 4):
        append(log, [b"v"], epoch)
    assert log.leader_epochs.entries == [(3, 0), (5, 2)]
    assert log.end_offset_for(4, 5) == (3, 2)
    assert log.end_offset_for(6, 7) == (5, 4)


def test_a_full_segment_is_followed_by_another() -> None:
    rig = Rig()
    log = rig.log(config=SMALL)
    for n in range(10):
        append(log, [b"x" * 50], timestamp=TIMESTAMP + n)
        rig.turn()
    rig.settle()
    assert bases(log) == [0, 3, 6, 9]
    assert [RecordBatch(batch).base_offset for batch in stored(log)] == list(range(10))
    first = log.segments[0]
    assert first.times.last == (TIMESTAMP + 2, 2)
    assert first.offsets.entries() == [(1, SIZE), (2, 2 * SIZE)]


def test_segments_roll_within_one_turn() -> None:
    rig = Rig()
    log = rig.log(config=SMALL)
    for n in range(10):
        append(log, [b"x" * 50], sender=Sender(7, 0, n))
    rig.settle()
    assert bases(log) == [0, 3, 6, 9]
    assert [segment.size for segment in log.segments] == [3 * SIZE, 3 * SIZE, 3 * SIZE, SIZE]
    assert [RecordBatch(batch).base_offset for batch in stored(log)] == list(range(10))


def test_a_batch_as_large_as_a_segment_does_not_leave_an_empty_one() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(segment_bytes=100))
    assert code(log.append(make_batch([b"x" * 100]), 0)) == ErrorCode.RECORD_LIST_TOO_LARGE
    append(log, [b"x" * 20])
    append(log, [b"x" * 20])
    assert bases(log) == [0, 1]


def test_old_segments_are_followed_by_another() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(segment_ms=1000))
    for timestamp in (TIMESTAMP, TIMESTAMP + 1000, TIMESTAMP + 1001, TIMESTAMP + 2001):
        append(log, [b"v"], timestamp=timestamp)
    assert bases(log) == [0, 2]
    append(log, [b"v"], timestamp=TIMESTAMP + 2002)
    assert bases(log) == [0, 2, 4]


def test_the_age_of_a_segment_survives_a_restart() -> None:
    rig = Rig()
    config = LogConfig(segment_ms=1000)
    append(rig.log(config=config), [b"v"])
    rig.settle()
    rig.kill()
    log = rig.log(config=config)
    append(log, [b"v"], timestamp=TIMESTAMP + 1000)
    append(log, [b"v"], timestamp=TIMESTAMP + 1001)
    assert bases(log) == [0, 2]


def test_a_full_index_is_followed_by_another_segment() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(index_interval_bytes=0, segment_index_bytes=24))
    for _ in range(6):
        append(log, [b"v"])
    assert bases(log) == [0, 2, 4]  # the time index keeps room for its last entry


def test_offsets_stay_within_reach_of_their_segment() -> None:
    rig = Rig()
    log = rig.log()
    huge = make_batch(count=INT_MAX, delta=INT_MAX - 1)
    assert log.append(huge, 0) == 0
    assert log.append(huge, 0) == INT_MAX
    assert log.append(make_batch(), 0) == 2 * INT_MAX
    assert bases(log) == [0, INT_MAX]
    assert log.append(make_batch(), 0) == 2 * INT_MAX + 1
    assert bases(log) == [0, INT_MAX, 2 * INT_MAX + 1]


def test_sparse_indexes() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(index_interval_bytes=1000))
    size = len(make_batch([b"x" * 100]))
    for n in range(100):
        append(log, [b"x" * 100], timestamp=TIMESTAMP + n)
    segment = log.segments[0]
    entries = segment.offsets.entries()
    assert [position // size for _, position in entries] == [offset for offset, _ in entries]
    gaps = [after[1] - before[1] for before, after in pairwise(entries)]
    assert min(gaps) > 1000
    assert max(gaps) <= 1000 + size
    assert segment.times.entries() == [(TIMESTAMP + offset, offset) for offset, _ in entries]


def test_a_failed_write_takes_everything_back() -> None:
    rig = Rig()
    log = rig.log(config=SMALL)
    heard = Heard(log)
    for n in range(2):
        append(log, [b"x" * 50], 1, sender=Sender(7, 0, n), timestamp=TIMESTAMP + n)
    rig.settle()
    before = (log.end_offset, bases(log), log.producers.state(7), log.segments[0].max_timestamp)
    indexes = log.segments[0].offsets.entries()
    size = len(rig.disk.read_file(log.segments[0].path()))
    for n in range(2, 9):
        append(log, [b"x" * 50], 2, sender=Sender(7, 0, n), timestamp=TIMESTAMP + n)
    append(log, [b"y"], 3, sender=Sender(8, 0, 0))
    rig.files.fail("writev", OSError(errno.ENOSPC, "full"))
    rig.settle()
    assert (log.end_offset, bases(log), log.producers.state(7), log.segments[0].max_timestamp) == before
    assert log.segments[0].offsets.entries() == indexes
    assert log.producers.state(8) is None
    assert log.leader_epochs.entries == [(1, 0)]
    assert heard.calls[-1] == ("KAFKA_STORAGE_ERROR", 2)
    assert len(rig.disk.read_file(log.segments[0].path())) == size
    for n in range(2, 9):
        assert log.append(make_batch([b"x" * 50], sender=Sender(7, 0, n), timestamp=TIMESTAMP + n), 2) == n
    rig.settle()
    assert log.synced_offset == 9
    assert len(stored(log)) == 9


def test_a_short_write_is_made_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"first"])
    rig.settle()
    whole = rig.disk.writev
    shortened: list[int] = []

    def writev(handle: int, buffers: list[bytes]) -> int:
        if shortened:
            return whole(handle, buffers)
        shortened.append(handle)
        return whole(handle, [b"".join(buffers)[:50]])

    monkeypatch.setattr(rig.disk, "writev", writev)
    append(log, [b"second"])
    rig.settle()
    assert shortened
    assert [RecordBatch(batch).base_offset for batch in stored(log)] == [0, 1]


def test_the_snapshot_of_a_roll_is_of_what_came_before_it() -> None:
    rig = Rig()
    log = rig.log(config=SMALL)
    for n in range(4):
        append(log, [b"x" * 50], sender=Sender(7, 0, n))
    offset, content = log.snapshots[0]
    states = ProducerStates()
    states.load_snapshot(content)
    state = states.state(7)
    assert offset == 3
    assert state is not None
    assert [batch[0] for batch in state[1]] == [0, 1, 2]


def test_a_write_that_fails_behind_a_roll_leaves_no_file() -> None:
    rig = Rig()
    log = rig.log(config=SMALL)
    for _ in range(3):
        append(log, [b"x" * 50])
    rig.settle()
    for _ in range(7):
        append(log, [b"x" * 50])
    rig.files.before("writev", lambda _, pieces: rig.files.fail("writev", OSError(errno.ENOSPC, "full")))
    rig.settle()
    rig.files.heal()
    assert bases(log) == [0, 3]
    assert [
        name for name in rig.disk.list(log.directory) if name.endswith(".log") and not name.startswith("0" * 20)
    ] == ["00000000000000000003.log"]
    append(log, [b"small"])
    rig.settle()
    rig.kill()
    assert rig.log(config=SMALL).end_offset == 4


def test_a_cut_needs_quiet() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"v"])
    with pytest.raises(InvariantBroken):
        log.truncate_to(0)


def test_cutting_the_end_off() -> None:
    rig = Rig()
    log = rig.log(config=SMALL)
    for n in range(10):
        append(log, [b"x" * 50], 1 + n // 4, sender=Sender(7, 0, n), timestamp=TIMESTAMP + n)
        rig.settle()
    piece = log.read(9, 1000, upto=10, at_least_one=True)
    assert not isinstance(piece, Refusal)
    log.truncate_to(20)
    assert log.end_offset == 10
    log.truncate_to(5)
    assert (log.end_offset, log.written_offset, log.synced_offset) == (5, 5, 5)
    assert bases(log) == [0, 3]
    assert log.leader_epochs.entries == [(1, 0), (2, 4)]
    assert log.producers.state(7) == (0, tuple((n, n, n, TIMESTAMP + n) for n in range(5)))
    assert log.segments[-1].max_timestamp == TIMESTAMP + 4
    assert piece is not None
    assert RecordBatch(piece.read()).base_offset == 9  # a slow reader keeps what it holds
    append(log, [b"other"], 9)
    append(log, [b"and another"], 9)
    rig.settle()
    found = log.read(6, 1000, upto=7, at_least_one=True)
    assert found is not None
    assert not isinstance(found, Refusal)
    assert RecordBatch(found.read()).base_offset == 6
    rig.crash()
    assert [RecordBatch(batch).epoch for batch in stored(rig.log(config=SMALL))] == [1, 1, 1, 1, 2, 9, 9]


def test_places_behind_a_cut_are_not_remembered() -> None:
    rig = Rig()
    log = rig.log()
    for _ in range(4):
        append(log, [b"x" * 50])
    rig.settle()
    log.read(0, 1000, upto=3, at_least_one=True)
    log.truncate_to(2)
    append(log, [b"of another size"])
    append(log, [b"and another"])
    rig.settle()
    found = log.read(3, 1000, upto=4, at_least_one=True)
    assert found is not None
    assert not isinstance(found, Refusal)
    assert RecordBatch(found.read()).base_offset == 3


def test_beginning_later() -> None:
    rig = Rig()
    log = rig.log(config=SMALL)
    for n in range(10):
        append(log, [b"x" * 50], 1 + n // 4)
        rig.turn()
    rig.settle()
    log.advance_start_offset(7)
    log.advance_start_offset(3)
    assert (log.start_offset, bases(log)) == (7, [6, 9])
    assert log.leader_epochs.entries == [(2, 7), (3, 8)]
    assert log.read(6, 100, upto=10, at_least_one=True) == Refusal(ErrorCode.OFFSET_OUT_OF_RANGE)
    rig.settle()
    assert [name for name in rig.disk.list(log.directory) if name.endswith(".log")] == [
        "00000000000000000006.log",
        "00000000000000000009.log",
    ]
    with pytest.raises(InvariantBroken):
        log.advance_start_offset(11)
    rig.crash()
    log = rig.log()
    assert (log.start_offset, log.end_offset) == (7, 10)
    assert log.leader_epochs.entries == [(2, 7), (3, 8)]


def test_flush_messages_and_flush_ms_ask_for_syncs() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(durability=PAGE_CACHE, flush_messages=3, flush_ms=1000))
    append(log, [b"v"])
    rig.settle()
    append(log, [b"v"])
    rig.settle()
    assert log.synced_offset == 0
    append(log, [b"v"])
    rig.settle()
    assert log.synced_offset == 3
    append(log, [b"v"])
    rig.settle()
    rig.directory.housekeeping()
    rig.clock.advance(999)
    rig.directory.housekeeping()
    rig.settle()
    assert log.synced_offset == 3
    rig.clock.advance(1)
    rig.directory.housekeeping()
    rig.settle()
    assert log.synced_offset == 4


def test_what_durable_means() -> None:
    rig = Rig()
    assert rig.log(config=LogConfig()).durable
    assert not rig.log(config=LogConfig(durability=PAGE_CACHE)).durable
    assert rig.log(config=LogConfig(durability=PAGE_CACHE, flush_messages=1)).durable
    assert rig.log("__cluster_metadata", config=LogConfig(durability=PAGE_CACHE)).durable
