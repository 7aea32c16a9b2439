"""Sequence rules of idempotent producers, taking back, and the snapshot file."""

from __future__ import annotations

import struct

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData, ErrorCode, Refusal
from moldau.core.log.producers import SEQUENCE_MASK, Duplicate, ProducerStates

LAST = SEQUENCE_MASK


def admitted(states: ProducerStates, sequence: int, count: int = 1, *, offset: int = 0, epoch: int = 0) -> object:
    return states.admit(7, epoch, sequence, count - 1, offset, 1000 + offset)


def refused(verdict: object) -> ErrorCode:
    assert isinstance(verdict, Refusal)
    return verdict.code


def test_batches_follow_each_other() -> None:
    states = ProducerStates()
    assert admitted(states, 0, 3) is None
    assert admitted(states, 3, 1, offset=3) is None
    assert refused(admitted(states, 5, offset=4)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refused(admitted(states, 2, 2, offset=4)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert admitted(states, 4, offset=4) is None


def test_a_new_producer_may_begin_anywhere() -> None:
    assert admitted(ProducerStates(), 12_345) is None


def test_the_last_five_batches_are_recognised() -> None:
    states = ProducerStates()
    for n in range(7):
        assert admitted(states, 2 * n, 2, offset=10 * n) is None
    for n in range(2, 7):
        assert admitted(states, 2 * n, 2, offset=99) == Duplicate(10 * n, 1000 + 10 * n, 10 * n + 2)
    assert refused(admitted(states, 2, 2, offset=99)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refused(admitted(states, 12, 1, offset=99)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refused(admitted(states, 11, 3, offset=99)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_epochs_rise_and_begin_at_zero() -> None:
    states = ProducerStates()
    admitted(states, 5, epoch=3)
    assert refused(admitted(states, 6, epoch=2)) == ErrorCode.INVALID_PRODUCER_EPOCH
    assert refused(admitted(states, 6, epoch=4)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert admitted(states, 0, epoch=4, offset=1) is None
    assert refused(admitted(states, 5, epoch=3)) == ErrorCode.INVALID_PRODUCER_EPOCH
    assert admitted(states, 0, epoch=4, offset=9) == Duplicate(1, 1001, 2)


def test_sequences_wrap() -> None:
    states = ProducerStates()
    assert admitted(states, LAST - 1, 2) is None
    assert admitted(states, 0, offset=2) is None
    states = ProducerStates()
    assert admitted(states, LAST, 3) is None  # LAST, 0, 1
    assert admitted(states, LAST, 3) == Duplicate(0, 1000, 3)
    assert admitted(states, 2, offset=3) is None


def test_a_failed_write_takes_states_back() -> None:
    states = ProducerStates()
    admitted(states, 0)
    states.undo.clear()
    before = states.state(7)
    admitted(states, 1, offset=1)
    states.admit(8, 0, 0, 0, 2, 5)
    admitted(states, 2, offset=3)
    states.take_back(states.undo)
    assert states.state(7) == before
    assert states.state(8) is None
    assert admitted(states, 1, offset=1) is None


def test_silent_producers_are_forgotten() -> None:
    states = ProducerStates()
    states.admit(1, 0, 0, 0, 0, 100)
    states.admit(2, 0, 0, 0, 1, 100)
    assert states.forget_silent(0, 1000) == 0
    states.admit(2, 0, 1, 0, 2, 100)
    assert states.forget_silent(999, 1000) == 0
    assert states.forget_silent(1000, 1000) == 1
    assert states.state(1) is None
    assert len(states) == 1
    assert states.forget_silent(2000, 1000) == 1


batches = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(1, 4)), max_size=30)


@given(batches, st.integers(0, LAST))
def test_snapshots_bring_back_the_same_states(life: list[tuple[int, int, int]], start: int) -> None:
    states = ProducerStates()
    following: dict[tuple[int, int], int] = {}
    offset = 0
    for producer_id, epoch, count in life:
        sequence = following.get((producer_id, epoch), 0 if states.state(producer_id) else start)
        if states.admit(producer_id, epoch, sequence, count - 1, offset, offset * 10) is None:
            following[producer_id, epoch] = (sequence + count) & SEQUENCE_MASK
            offset += count
    loaded = ProducerStates()
    loaded.load_snapshot(states.encode_snapshot())
    for producer_id in (1, 2, 3):
        assert loaded.state(producer_id) == states.state(producer_id)


def test_a_snapshot_can_be_taken_as_of_earlier() -> None:
    states = ProducerStates()
    admitted(states, 0)
    earlier = states.encode_snapshot()
    states.undo.clear()
    admitted(states, 1, offset=1)
    assert states.encode_snapshot(states.undo) == earlier
    assert states.state(7) == (0, ((0, 0, 0, 1000), (1, 1, 1, 1001)))


def test_the_file_is_kafkas() -> None:
    states = ProducerStates()
    states.admit(7, 3, 10, 4, 100, 555)
    body = struct.pack(">i", 1) + struct.pack(">qhiqiqiq", 7, 3, 14, 104, 4, 555, -1, -1)
    assert states.encode_snapshot() == struct.pack(">hI", 1, google_crc32c.value(body)) + body


def test_a_snapshot_of_kafkas_has_one_entry_or_none_with_data() -> None:
    body = struct.pack(">i", 2)
    body += struct.pack(">qhiqiqiq", 7, 3, 14, 104, 4, 555, -1, -1)
    body += struct.pack(">qhiqiqiq", 8, 0, -1, -1, 0, 555, 2, -1)
    states = ProducerStates()
    states.load_snapshot(struct.pack(">hI", 1, google_crc32c.value(body)) + body)
    assert states.state(7) == (3, ((10, 14, 100, 555),))
    assert states.state(8) is None


def test_broken_snapshots_are_refused() -> None:
    states = ProducerStates()
    states.admit(7, 3, 10, 4, 100, 555)
    good = states.encode_snapshot()
    flipped = bytes([good[-1] ^ 1])
    for broken in (b"", good[:5], good[:-1], good[:-1] + flipped, good + b"x", b"\0\2" + good[2:]):
        with pytest.raises(CorruptData):
            ProducerStates().load_snapshot(broken)
