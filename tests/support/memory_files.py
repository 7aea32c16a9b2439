"""A disk in memory that forgets what was not synced, and a wrapper that makes single calls fail or wait.

Lives here: `MemoryFiles` (the `Files` of simulations and crash tests) and `FaultyFiles`. Nothing here
touches the real disk. The disk is a strict one: a synced file whose directory was not synced is gone
after a power loss, and so is a rename.
"""

from __future__ import annotations

import errno
import os
import posixpath
import random
from collections.abc import Callable, Sequence
from typing import Any

from moldau.core.base.files import GATHER_MAX, Buffer

SECTOR = 512


class _Inode:
    """One file: what a reader sees, and what the platters hold."""

    __slots__ = ("content", "durable", "modified_ms")

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = b""
        self.modified_ms = 0


class MemoryFiles:
    """`Files` in memory.

    `crash()` is a power loss: unsynced bytes are lost, or with a seed torn (any prefix or any sectors of them
    survive). `kill()` is the end of a process: everything written stays. Both invalidate every handle.
    """

    def __init__(self) -> None:
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._directories: set[str] = {"/"}
        self._durable_directories: set[str] = {"/"}
        self._handles: dict[int, tuple[str, _Inode]] = {}
        self._locks: dict[int, str] = {}
        self._next_handle = 3
        self._boot = 0
        self.capacity: int | None = None  # bytes in all files; None has no bound
        self.now_ms = 0

    # What only tests call.

    def crash(self, seed: int | None = None) -> None:
        """Lose power. Without a seed every unsynced byte is lost; with one, some of them survive, torn."""
        dice = random.Random(seed) if seed is not None else None
        names = dict(self._durable_names)
        directories = set(self._durable_directories)
        if dice is not None:
            for path, inode in self._names.items():
                if path not in names and posixpath.dirname(path) in directories and dice.random() < 0.5:
                    names[path] = inode
        for inode in set(names.values()):
            inode.durable = _torn(inode, dice) if dice is not None else inode.durable
            inode.content = bytearray(inode.durable)
        self._names = names
        self._durable_names = dict(names)
        self._directories = directories
        self._boot += 1
        self._forget_handles()

    def kill(self) -> None:
        """End the process: its handles and locks go, every written byte stays."""
        self._forget_handles()

    def open_handles(self) -> list[str]:
        """Paths of the handles that are open, for tests that look for leaks."""
        return sorted(path for path, _ in self._handles.values())

    def _forget_handles(self) -> None:
        self._handles.clear()
        self._locks.clear()

    # What `Files` promises.

    def open_append(self, path: str) -> int:
        return self._open(path, create=True)

    def open_read(self, path: str) -> int:
        return self._open(path, create=False)

    def open_write(self, path: str) -> int:
        return self._open(path, create=True)

    def close(self, handle: int) -> None:
        self._inode(handle)
        del self._handles[handle]
        self._locks.pop(handle, None)

    def writev(self, handle: int, buffers: Sequence[Buffer]) -> int:
        if len(buffers) > GATHER_MAX:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        inode = self._inode(handle)
        data = b"".join(buffers)
        room = self._room()
        if room is not None and len(data) > room:
            if room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[:room]
        inode.content += data
        inode.modified_ms = self.now_ms
        return len(data)

    def pwrite(self, handle: int, data: Buffer, position: int) -> int:
        inode = self._inode(handle)
        content = inode.content
        room = self._room()
        if room is not None and position + len(data) - len(content) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if position > len(content):
            content += bytes(position - len(content))
        content[position : position + len(data)] = data
        inode.modified_ms = self.now_ms
        return len(data)

    def pread(self, handle: int, size: int, position: int) -> bytes:
        return bytes(self._inode(handle).content[position : position + size])

    def size(self, handle: int) -> int:
        return len(self._inode(handle).content)

    def truncate(self, handle: int, size: int) -> None:
        content = self._inode(handle).content
        if size < len(content):
            del content[size:]
        else:
            content += bytes(size - len(content))

    def preallocate(self, handle: int, size: int) -> None:
        if self.size(handle) < size:
            self.truncate(handle, size)

    def sync_data(self, handle: int) -> None:
        inode = self._inode(handle)
        inode.durable = bytes(inode.content)

    def sync_filesystem(self, handle: int) -> None:
        self._inode(handle)
        for inode in self._names.values():
            inode.durable = bytes(inode.content)
        self._durable_names = dict(self._names)
        self._durable_directories = set(self._directories)

    def sync_directory(self, path: str) -> None:
        path = _normal(path)
        if path not in self._directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._durable_directories.add(path)
        for name in [name for name in self._durable_names if posixpath.dirname(name) == path]:
            del self._durable_names[name]
        for name, inode in self._names.items():
            if posixpath.dirname(name) == path:
                self._durable_names[name] = inode
        for name in list(self._durable_directories):
            if posixpath.dirname(name) == path and name not in self._directories:
                self._drop_durable_tree(name)
        self._durable_directories.update(name for name in self._directories if posixpath.dirname(name) == path)

    def drop_cached(self, handle: int) -> None:
        self._inode(handle)

    def read_file(self, path: str) -> bytes:
        return bytes(self._named(path).content)

    def write_file(self, path: str, content: bytes) -> None:
        temporary = path + ".tmp"
        handle = self.open_write(temporary)
        try:
            self.truncate(handle, 0)
            self.pwrite(handle, content, 0)
            self.sync_data(handle)
        finally:
            self.close(handle)
        self.rename(temporary, path)
        self.sync_directory(posixpath.dirname(_normal(path)))

    def rename(self, source: str, target: str) -> None:
        source, target = _normal(source), _normal(target)
        if source in self._directories:
            self._rename_directory(source, target)
            return
        inode = self._named(source)
        del self._names[source]
        self._names[target] = inode

    def unlink(self, path: str) -> None:
        self._named(path)
        del self._names[_normal(path)]

    def make_directory(self, path: str) -> None:
        path = _normal(path)
        while path not in self._directories:
            self._directories.add(path)
            path = posixpath.dirname(path)

    def remove_directory(self, path: str) -> None:
        path = _normal(path)
        if path not in self._directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if self.list(path):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        self._directories.discard(path)

    def list(self, path: str) -> list[str]:
        path = _normal(path)
        if path not in self._directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        everything = [*self._names, *self._directories]
        return sorted(
            posixpath.basename(name) for name in everything if name != "/" and posixpath.dirname(name) == path
        )

    def exists(self, path: str) -> bool:
        path = _normal(path)
        return path in self._names or path in self._directories

    def is_directory(self, path: str) -> bool:
        return _normal(path) in self._directories

    def modified_ms(self, path: str) -> int:
        return self._named(path).modified_ms

    def lock(self, path: str) -> int:
        path = _normal(path)
        if path in self._locks.values():
            raise BlockingIOError(errno.EAGAIN, "locked by another process", path)
        handle = self.open_write(path)
        self._locks[handle] = path
        return handle

    def boot_id(self) -> str:
        return f"boot-{self._boot}"

    def filesystem_sync_reports_errors(self) -> bool:
        return True

    # Inside.

    def _open(self, path: str, *, create: bool) -> int:
        path = _normal(path)
        if path not in self._names:
            if not create or posixpath.dirname(path) not in self._directories:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            inode = _Inode()
            inode.modified_ms = self.now_ms
            self._names[path] = inode
        handle = self._next_handle
        self._next_handle += 1
        self._handles[handle] = (path, self._names[path])
        return handle

    def _inode(self, handle: int) -> _Inode:
        try:
            return self._handles[handle][1]
        except KeyError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def _named(self, path: str) -> _Inode:
        try:
            return self._names[_normal(path)]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None

    def _room(self) -> int | None:
        if self.capacity is None:
            return None
        return self.capacity - sum(len(inode.content) for inode in self._names.values())

    def _rename_directory(self, source: str, target: str) -> None:
        inside = source + "/"
        moved = {name: target + name[len(source) :] for name in self._names if name.startswith(inside)}
        self._names = {moved.get(name, name): inode for name, inode in self._names.items()}
        self._directories = {
            target + name[len(source) :] if name == source or name.startswith(inside) else name
            for name in self._directories
        }

    def _drop_durable_tree(self, path: str) -> None:
        inside = path + "/"
        self._durable_directories = {
            name for name in self._durable_directories if name != path and not name.startswith(inside)
        }
        self._durable_names = {name: node for name, node in self._durable_names.items() if not name.startswith(inside)}


class FaultyFiles:
    """A `Files` around another whose chosen calls fail, or call a hook first.

    `fail("sync_data", OSError(errno.EIO, "..."), times=1)` makes the next call raise; `before("writev", hook)`
    runs `hook(*args)` ahead of every call, which may itself raise. `calls` counts every call by name.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls: dict[str, int] = {}
        self._failures: dict[str, list[BaseException]] = {}
        self._hooks: dict[str, Callable[..., None]] = {}

    def fail(self, name: str, error: BaseException, times: int = 1) -> None:
        """Let the next `times` calls of `name` raise `error`."""
        self._failures.setdefault(name, []).extend([error] * times)

    def before(self, name: str, hook: Callable[..., None] | None) -> None:
        """Run `hook` with the call's arguments ahead of each call of `name`; None takes it away."""
        if hook is None:
            self._hooks.pop(name, None)
        else:
            self._hooks[name] = hook

    def heal(self) -> None:
        """No more failures and hooks."""
        self._failures.clear()
        self._hooks.clear()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            hook = self._hooks.get(name)
            if hook is not None:
                hook(*args, **kwargs)
            failures = self._failures.get(name)
            if failures:
                raise failures.pop(0)
            return method(*args, **kwargs)

        return call


def _normal(path: str) -> str:
    return posixpath.normpath(path)


def _torn(inode: _Inode, dice: random.Random) -> bytes:
    """What a power loss may leave of a file: the synced bytes, and a torn part of what came after."""
    durable, content = inode.durable, bytes(inode.content)
    if content[: len(durable)] != durable or len(content) <= len(durable):
        return durable
    fresh = bytearray(content[len(durable) :])
    del fresh[dice.randrange(len(fresh) + 1) :]
    if dice.random() < 0.3:
        for start in range(0, len(fresh), SECTOR):
            if dice.random() < 0.3:
                fresh[start : start + SECTOR] = bytes(len(fresh[start : start + SECTOR]))
    return durable + bytes(fresh)
