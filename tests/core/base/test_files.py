"""One contract for every disk: the real one and the one in memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from moldau.core.base.files import GATHER_MAX, Files, OsFiles
from tests.support.memory_files import FaultyFiles, MemoryFiles


@pytest.fixture(params=["os", "memory"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Files, str]]:
    """A disk and an empty directory on it."""
    if request.param == "os":
        yield OsFiles(), str(tmp_path)
    else:
        files = MemoryFiles()
        files.make_directory("/data")
        yield files, "/data"


Disk = tuple[Files, str]


def test_appends_grow_the_file_and_are_read_at_positions(disk: Disk) -> None:
    files, root = disk
    handle = files.open_append(f"{root}/log")
    assert files.writev(handle, [b"one", memoryview(b"two"), bytearray(b"three")]) == 11
    assert files.writev(handle, [b"!"]) == 1
    assert files.size(handle) == 12
    assert files.pread(handle, 5, 3) == b"twoth"
    assert files.pread(handle, 100, 8) == b"ree!"
    assert files.pread(handle, 100, 12) == b""
    files.close(handle)
    again = files.open_append(f"{root}/log")
    files.writev(again, [b"?"])
    assert files.read_file(f"{root}/log") == b"onetwothree!?"
    files.close(again)


def test_a_gather_has_a_bound(disk: Disk) -> None:
    files, root = disk
    handle = files.open_append(f"{root}/log")
    assert files.writev(handle, [b"x"] * GATHER_MAX) == GATHER_MAX
    with pytest.raises(OSError, match=r".") as caught:
        files.writev(handle, [b"x"] * (GATHER_MAX + 1))
    assert caught.value.errno == errno.EINVAL
    files.close(handle)


def test_writes_at_positions_and_cuts(disk: Disk) -> None:
    files, root = disk
    handle = files.open_write(f"{root}/index")
    assert files.pwrite(handle, b"abcdef", 0) == 6
    assert files.pwrite(handle, b"XY", 2) == 2
    assert files.pread(handle, 6, 0) == b"abXYef"
    files.truncate(handle, 3)
    assert files.pread(handle, 6, 0) == b"abX"
    files.preallocate(handle, 6)
    files.preallocate(handle, 2)
    assert files.pread(handle, 10, 0) == b"abX\0\0\0"
    files.close(handle)
    handle = files.open_write(f"{root}/index")
    assert files.size(handle) == 6
    files.close(handle)


def test_a_closed_handle_is_an_error(disk: Disk) -> None:
    files, root = disk
    handle = files.open_append(f"{root}/log")
    files.close(handle)
    with pytest.raises(OSError, match=r".") as caught:
        files.pread(handle, 1, 0)
    assert caught.value.errno == errno.EBADF


def test_what_is_not_there(disk: Disk) -> None:
    files, root = disk
    for call in (files.open_read, files.read_file, files.unlink, files.list, files.modified_ms, files.remove_directory):
        with pytest.raises(FileNotFoundError):
            call(f"{root}/nothing")
    with pytest.raises(FileNotFoundError):
        files.open_append(f"{root}/no/directory")
    assert not files.exists(f"{root}/nothing")
    assert not files.is_directory(f"{root}/nothing")


def test_replacing_a_file(disk: Disk) -> None:
    files, root = disk
    files.write_file(f"{root}/checkpoint", b"long old content")
    files.write_file(f"{root}/checkpoint", b"new")
    assert files.read_file(f"{root}/checkpoint") == b"new"
    assert files.list(root) == ["checkpoint"]


def test_directories(disk: Disk) -> None:
    files, root = disk
    files.make_directory(f"{root}/a/b")
    files.make_directory(f"{root}/a/b")
    files.write_file(f"{root}/a/b/file", b"x")
    assert files.list(f"{root}/a") == ["b"]
    assert files.is_directory(f"{root}/a/b")
    assert not files.is_directory(f"{root}/a/b/file")
    with pytest.raises(OSError, match=r".") as caught:
        files.remove_directory(f"{root}/a/b")
    assert caught.value.errno == errno.ENOTEMPTY
    files.rename(f"{root}/a", f"{root}/c")
    assert files.read_file(f"{root}/c/b/file") == b"x"
    files.unlink(f"{root}/c/b/file")
    files.remove_directory(f"{root}/c/b")
    assert files.list(f"{root}/c") == []


def test_an_open_file_outlives_its_name(disk: Disk) -> None:
    files, root = disk
    files.write_file(f"{root}/file", b"content")
    handle = files.open_read(f"{root}/file")
    files.unlink(f"{root}/file")
    assert files.pread(handle, 7, 0) == b"content"
    files.close(handle)


def test_syncs_and_hints_do_not_change_what_is_read(disk: Disk) -> None:
    files, root = disk
    handle = files.open_append(f"{root}/log")
    files.writev(handle, [b"content"])
    files.sync_data(handle)
    files.sync_filesystem(handle)
    files.sync_directory(root)
    files.drop_cached(handle)
    assert files.pread(handle, 7, 0) == b"content"
    files.close(handle)
    assert isinstance(files.boot_id(), str)
    assert isinstance(files.filesystem_sync_reports_errors(), bool)


def test_a_lock_is_held_once(disk: Disk) -> None:
    files, root = disk
    handle = files.lock(f"{root}/.lock")
    with pytest.raises(BlockingIOError):
        files.lock(f"{root}/.lock")
    files.close(handle)
    files.close(files.lock(f"{root}/.lock"))


# What only the memory disk does.


def written(files: MemoryFiles, path: str, content: bytes) -> int:
    handle = files.open_append(path)
    files.writev(handle, [content])
    return handle


def test_a_power_loss_takes_what_was_not_synced() -> None:
    files = MemoryFiles()
    files.make_directory("/d")
    handle = written(files, "/d/log", b"safe")
    files.sync_data(handle)
    files.sync_directory("/")
    files.sync_directory("/d")
    files.writev(handle, [b"lost"])
    written(files, "/d/new", b"x")
    before = files.boot_id()
    files.crash()
    assert files.read_file("/d/log") == b"safe"
    assert files.list("/d") == ["log"]
    assert files.boot_id() != before
    with pytest.raises(OSError, match=r"."):
        files.writev(handle, [b"x"])


def test_a_synced_file_without_a_synced_name_is_lost() -> None:
    files = MemoryFiles()
    files.sync_data(written(files, "/log", b"content"))
    files.crash()
    assert files.list("/") == []


def test_a_torn_write_leaves_some_of_it() -> None:
    left = set()
    for seed in range(40):
        files = MemoryFiles()
        handle = written(files, "/log", b"safe")
        files.sync_data(handle)
        files.sync_directory("/")
        files.writev(handle, [b"torn" * 400])
        files.crash(seed)
        content = files.read_file("/log")
        assert content[:4] == b"safe"
        left.add(len(content))
    assert len(left) > 5


def test_a_kill_keeps_every_written_byte_and_frees_the_lock() -> None:
    files = MemoryFiles()
    files.lock("/.lock")
    written(files, "/log", b"content")
    before = files.boot_id()
    files.kill()
    assert files.read_file("/log") == b"content"
    assert files.boot_id() == before
    assert files.open_handles() == []
    files.lock("/.lock")


def test_a_full_disk_takes_what_fits() -> None:
    files = MemoryFiles()
    files.capacity = 6
    handle = written(files, "/log", b"1234")
    assert files.writev(handle, [b"5678"]) == 2
    with pytest.raises(OSError, match=r".") as caught:
        files.writev(handle, [b"9"])
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match=r"."):
        files.pwrite(handle, b"9", 6)


def test_chosen_calls_fail_or_are_watched() -> None:
    files = FaultyFiles(MemoryFiles())
    seen: list[tuple[object, ...]] = []
    handle = files.open_append("/log")
    files.before("writev", lambda *args: seen.append(args))
    files.fail("sync_data", OSError(errno.EIO, "broken"), times=2)
    files.writev(handle, [b"x"])
    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            files.sync_data(handle)
    files.sync_data(handle)
    assert seen == [(handle, [b"x"])]
    assert files.calls == {"open_append": 1, "writev": 1, "sync_data": 3}
    files.heal()
    files.writev(handle, [b"y"])
    assert len(seen) == 1
