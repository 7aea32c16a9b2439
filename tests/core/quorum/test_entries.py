"""Batches of the metadata log."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.protocol.batch import Record, build_batch
from moldau.core.protocol.stored.raft import KRaftVersionRecord, LeaderChangeMessage
from moldau.core.quorum.entries import ControlType, Entry, control_batch, data_batch, read_entries
from moldau.core.quorum.voters import leader_change_voters


def test_values_come_back_with_where_they_stand() -> None:
    batch = data_batch([b"a", b"bc"], 10, 3, 1234)
    assert list(read_entries(batch)) == [Entry(11, 3, 1234, [b"a", b"bc"], ())]


def test_control_records_come_back_as_messages() -> None:
    change = LeaderChangeMessage(leader_id=1, voters=leader_change_voters([1]), granting_voters=[])
    version = KRaftVersionRecord(kraft_version=1)
    batch = control_batch([(ControlType.LEADER_CHANGE, change), (ControlType.KRAFT_VERSION, version)], 0, 1, 5)
    (entry,) = read_entries(batch)
    assert entry.values == ()
    assert list(entry.control) == [(ControlType.LEADER_CHANGE, change), (ControlType.KRAFT_VERSION, version)]
    assert entry.has(ControlType.KRAFT_VERSION)
    assert not entry.has(ControlType.KRAFT_VOTERS)


def test_control_records_of_others_say_nothing_here() -> None:
    batch = build_batch([Record(0, 0, b"\0\0\0\1", b"x")], control=True)
    (entry,) = read_entries(batch)
    assert (entry.last_offset, entry.values, list(entry.control)) == (0, (), [])


def test_several_batches() -> None:
    stored = data_batch([b"a"], 0, 1, 5) + data_batch([b"b"], 1, 2, 6)
    assert [entry.epoch for entry in read_entries(stored)] == [1, 2]


@pytest.mark.parametrize(
    "stored",
    [
        data_batch([b"a"], 0, 1, 5)[:-1],
        data_batch([b"a"], 0, 1, 5)[:-1] + b"\7",
        build_batch([Record(0, 0, None, None)]),
        build_batch([Record(0, 0, b"\0", b"x")], control=True),
        build_batch([Record(0, 0, b"\0\0\0\2", b"\0")], control=True),
    ],
    ids=["cut", "changed", "null", "no kind", "no message"],
)
def test_broken_batches_are_corrupt(stored: bytes) -> None:
    with pytest.raises(CorruptData):
        list(read_entries(stored))
