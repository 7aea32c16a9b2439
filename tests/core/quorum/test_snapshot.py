"""Snapshot files."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.quorum import snapshot
from moldau.core.quorum.entries import ControlType, data_batch
from moldau.core.quorum.snapshot import SnapshotId, SnapshotStore, decode, encode
from moldau.core.quorum.voters import STATIC_VOTERS, ReplicaKey, Voter, VoterSet, from_record
from tests.support.memory_files import MemoryFiles

ID = SnapshotId(42, 3)
VOTERS = VoterSet((Voter(ReplicaKey(1, bytes(range(16)))),))


def content(count: int = 3, voters: VoterSet = VOTERS) -> bytes:
    return b"".join(encode(ID, voters, (b"%d" % number for number in range(count)), 77, 88))


def test_names_sort_by_offset_then_epoch() -> None:
    assert ID.file == "00000000000000000042-0000000003.checkpoint"
    assert SnapshotId(9, 9) < SnapshotId(10, 1) < SnapshotId(10, 2)


def test_header_values_footer() -> None:
    header, values, footer = decode(content(), "x")
    assert [kind for kind, _ in header.control] == [
        ControlType.SNAPSHOT_HEADER,
        ControlType.KRAFT_VERSION,
        ControlType.KRAFT_VOTERS,
    ]
    assert header.control[0][1].last_contained_log_timestamp == 77
    assert from_record(header.control[2][1]) == VOTERS
    assert values.values == [b"0", b"1", b"2"]
    assert footer.has(ControlType.SNAPSHOT_FOOTER)
    assert (header.last_offset, values.last_offset, footer.last_offset) == (2, 5, 6)


def test_static_voters_are_not_written() -> None:
    header, footer = decode(content(0, VoterSet((), STATIC_VOTERS)), "x")
    assert len(header.control) == 1
    assert footer.last_offset == 1


def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "BATCH_RECORDS", 2)
    assert [len(entry.values) for entry in decode(content(5), "x")] == [0, 2, 2, 1, 0]
    assert [len(entry.values) for entry in decode(content(4), "x")] == [0, 2, 2, 0]


def test_a_snapshot_without_header_or_footer_is_corrupt() -> None:
    whole = content()
    with pytest.raises(CorruptData, match="header"):
        list(decode(data_batch([b"a"], 0, 1, 0), "x"))
    with pytest.raises(CorruptData, match="footer"):
        list(decode(whole[: -len(whole) + whole.rindex(data_batch([b"0", b"1", b"2"], 3, 3, 88))], "x"))
    with pytest.raises(CorruptData, match="footer"):
        list(decode(b"", "x"))


def test_the_store_keeps_the_newest_only() -> None:
    files = MemoryFiles()
    files.make_directory("/m")
    store = SnapshotStore(files, "/m")
    assert store.newest() is None
    for id in (SnapshotId(0, 0), SnapshotId(10, 1), ID):
        store.write(id, content())
        assert store.newest() == id
        assert files.list("/m") == [id.file]
    assert store.read(ID) == content()


def test_what_a_crash_left_is_removed() -> None:
    files = MemoryFiles()
    files.make_directory("/m")
    for name in (f"{ID.file}.tmp", f"{ID.file}.part", "00000000000000000000.log", "quorum-state"):
        files.write_file(f"/m/{name}", b"x")
    assert SnapshotStore(files, "/m").newest() is None
    assert files.list("/m") == ["00000000000000000000.log", "quorum-state"]


def test_a_directory_that_is_not_there_has_none() -> None:
    assert SnapshotStore(MemoryFiles(), "/nowhere").newest() is None
