"""The disk as an argument: every open, write, rename, sync and list goes through `Files`.

`OsFiles` is the real one. `tests/` has a memory version whose unsynced bytes can be lost or torn, and
a wrapper that delays or fails single calls. Handles are plain ints (OS descriptors in `OsFiles`).
Errors are OSError with errno, in every implementation.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
from collections.abc import Sequence
from typing import Protocol

Buffer = bytes | bytearray | memoryview

# writev takes at most IOV_MAX buffers a call.
GATHER_MAX = 1024


class Files(Protocol):
    """The calls the log, the checkpoints and the metadata make. Paths are absolute."""

    def open_append(self, path: str) -> int:
        """Open for reading and appending, created if absent (mode 0644)."""

    def open_read(self, path: str) -> int: ...

    def open_write(self, path: str) -> int:
        """Open for reading and writing at positions, created if absent, not truncated."""

    def close(self, handle: int) -> None: ...

    def writev(self, handle: int, buffers: Sequence[Buffer]) -> int:
        """Append up to GATHER_MAX buffers; returns the bytes written, which may be fewer than given."""

    def pwrite(self, handle: int, data: Buffer, position: int) -> int: ...

    def pread(self, handle: int, size: int, position: int) -> bytes:
        """Up to `size` bytes; fewer only at the end of the file."""

    def size(self, handle: int) -> int: ...

    def truncate(self, handle: int, size: int) -> None: ...

    def preallocate(self, handle: int, size: int) -> None:
        """Grow the file to `size` with zeros (indexes)."""

    def sync_data(self, handle: int) -> None:
        """fdatasync."""

    def sync_filesystem(self, handle: int) -> None:
        """syncfs of the file system `handle` is on."""

    def sync_directory(self, path: str) -> None:
        """Make renames, creations and removals in `path` durable."""

    def drop_cached(self, handle: int) -> None:
        """Ask the kernel to forget clean cached pages, so that the next read comes from the disk."""

    def read_file(self, path: str) -> bytes: ...

    def write_file(self, path: str, content: bytes) -> None:
        """Replace `path` atomically and durably: temporary file, sync, rename, sync of the directory."""

    def rename(self, source: str, target: str) -> None: ...

    def unlink(self, path: str) -> None: ...

    def make_directory(self, path: str) -> None:
        """Make `path` and its parents; an existing directory is fine."""

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""

    def list(self, path: str) -> list[str]:
        """Names in a directory, sorted."""

    def exists(self, path: str) -> bool: ...

    def is_directory(self, path: str) -> bool: ...

    def modified_ms(self, path: str) -> int: ...

    def lock(self, path: str) -> int:
        """Open `path` (created if absent) and lock it against every other process, JVMs included.

        The lock lasts until the returned handle is closed. Raises BlockingIOError when another holds it.
        """

    def boot_id(self) -> str:
        """Names this run of the operating system: while it stays, the page cache was not lost. Empty if not known."""

    def filesystem_sync_reports_errors(self) -> bool:
        """Whether `sync_filesystem` fails when a page could not be written (Linux 5.8 or newer)."""


class OsFiles:
    """The operating system's files."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def open_append(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def open_read(self, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_write(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def close(self, handle: int) -> None:
        os.close(handle)

    def writev(self, handle: int, buffers: Sequence[Buffer]) -> int:
        return os.writev(handle, buffers)

    def pwrite(self, handle: int, data: Buffer, position: int) -> int:
        return os.pwrite(handle, data, position)

    def pread(self, handle: int, size: int, position: int) -> bytes:
        return os.pread(handle, size, position)

    def size(self, handle: int) -> int:
        return os.fstat(handle).st_size

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def preallocate(self, handle: int, size: int) -> None:
        if os.fstat(handle).st_size < size:
            os.ftruncate(handle, size)

    def sync_data(self, handle: int) -> None:
        os.fdatasync(handle) if hasattr(os, "fdatasync") else os.fsync(handle)

    def sync_filesystem(self, handle: int) -> None:
        # ctypes.CDLL lets go of the GIL for the call, so a sync thread does not stop the loop.
        if self._libc.syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def sync_directory(self, path: str) -> None:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def drop_cached(self, handle: int) -> None:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)

    def read_file(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def write_file(self, path: str, content: bytes) -> None:
        temporary = path + ".tmp"
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        self.sync_directory(os.path.dirname(path))

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def make_directory(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def remove_directory(self, path: str) -> None:
        os.rmdir(path)

    def list(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def modified_ms(self, path: str) -> int:
        return os.stat(path).st_mtime_ns // 1_000_000

    def lock(self, path: str) -> int:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # flock keeps out a second open in this process too; a JVM only heeds the POSIX lock.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BlockingIOError(error.errno, "locked by another process", path) from error
            raise
        return handle

    def boot_id(self) -> str:
        try:
            return self.read_file("/proc/sys/kernel/random/boot_id").decode().strip()
        except OSError:
            return ""

    def filesystem_sync_reports_errors(self) -> bool:
        system = os.uname()
        release = re.match(r"(\d+)\.(\d+)", system.release)
        return system.sysname == "Linux" and release is not None and (int(release[1]), int(release[2])) >= (5, 8)
