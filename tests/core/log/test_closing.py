"""The last flush and the removal of directories."""

from __future__ import annotations

import errno

import pytest

from moldau.core.log import names
from moldau.core.log.closing import LastFlush, remove_tree, shorten, write_last, write_offsets
from moldau.core.log.points import capture
from tests.support.log_rig import ROOT, Rig, append
from tests.support.memory_files import FaultyFiles, MemoryFiles


def flush_of(rig: Rig) -> LastFlush:
    log = rig.log()
    append(log, [b"v"])
    rig.settle()
    return LastFlush(ROOT, [capture(log)], None, b"points", b"starts", b"marks", 5)


def test_the_marker_comes_last() -> None:
    rig = Rig()
    last = flush_of(rig)
    order: list[str] = []
    rig.files.before("write_file", lambda path, content: order.append(path.rpartition("/")[2]))
    write_last(rig.files, last)
    assert order == [
        names.START_OFFSETS_FILE,
        names.HIGH_WATERMARKS_FILE,
        names.RECOVERY_POINTS_FILE,
        names.CLEAN_FILE,
    ]
    assert rig.disk.read_file(f"{ROOT}/{names.CLEAN_FILE}") == b'{"version":0,"brokerEpoch":5}'


@pytest.mark.parametrize("call", ["pwrite", "sync_data", "write_file", "truncate"])
def test_a_flush_that_fails_leaves_no_marker(call: str) -> None:
    rig = Rig()
    last = flush_of(rig)
    rig.files.fail(call, OSError(errno.EIO, "broken"))
    with pytest.raises(OSError, match="broken"):
        write_last(rig.files, last)
    assert not rig.disk.exists(f"{ROOT}/{names.CLEAN_FILE}")


def test_start_offsets_are_on_the_disk_before_files_go() -> None:
    files = FaultyFiles(MemoryFiles())
    files.make_directory("/d")
    files.write_file("/d/segment", b"x")
    files.fail("write_file", OSError(errno.EIO, "broken"))
    with pytest.raises(OSError, match="broken"):
        shorten(files, "/d", b"starts", ["/d/segment"])
    assert files.exists("/d/segment")
    shorten(files, "/d", b"starts", ["/d/segment"])
    assert files.list("/d") == [names.START_OFFSETS_FILE]


def test_two_checkpoints() -> None:
    files = MemoryFiles()
    write_offsets(files, "", b"starts", b"marks")
    assert files.read_file(f"/{names.START_OFFSETS_FILE}") == b"starts"
    assert files.read_file(f"/{names.HIGH_WATERMARKS_FILE}") == b"marks"


def test_a_tree_is_removed() -> None:
    files = MemoryFiles()
    files.make_directory("/d/inner/deep")
    files.write_file("/d/a", b"")
    files.write_file("/d/inner/deep/b", b"")
    remove_tree(files, "/d")
    assert files.list("/") == []
