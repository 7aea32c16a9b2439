r"""Following text files that grow and rotate, so that every line comes out once. Pure: files and time are arguments.

A **generation** is one file's content from its first byte on: a rename does not end it, a truncation does.
Its name is `device-inode-headlength-headcrc`, fixed when its first line is read. Every line is handed out
with the generation and the bytes [start, end) it takes up, end behind its newline; whoever writes lines down
with that (`position_header`) can tell a new follower where to go on (`position_of`).

Crash story: nothing is kept but what was written down. A new follower finds each generation again, by inode
or by name, and trusts it only if the head and the last line are still where they were. So:

    renamed               same inode: read on; the old name is a new generation, from its first byte
    copied and truncated  the rest is read from the copy beside it, found by content
    shorter, or other     a new generation, from its first byte
    rotated while away    rests and whole generations are found beside the file: app.log.1, app.log-20261124

Rotated names beside a file (its **family**) are one file's history and share its key. A line without its
newline waits; of a file that was rotated away and lay still for a minute it is handed out as it is. A line
longer than LONGEST comes in pieces. What is compressed before it was read to its end is lost.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

HEADER = "moldau.file.position"

LONGEST = 1 << 19
_HEAD = 1024
_CHECKED = 4096
_LOOKED_AT = 4096
_SHORTEST_HEAD = 128
_STILL_MS = 60_000
_DEEPEST = 8
MOST_FILES = 500
# Generations of one family that are remembered; more rotated files than that beside each other are read again.
MOST_GENERATIONS = 200

_ROTATED = re.compile(r"(\.\d{1,3}|[.-]\d{4}-?\d{2}-?\d{2}([.-]?\d+)?|\.old)$")
_COMPRESSED_NAMES = (".gz", ".xz", ".zst", ".bz2", ".lz4", ".lzma", ".zip", ".Z", ".tgz", ".7z")
_COMPRESSED_HEADS = (
    b"\x1f\x8b",
    b"\x1f\x9d",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"\x04\x22\x4d\x18",
    b"PK\x03\x04",
)

Line = tuple[bytes, int, int]  # the text, its first byte's position, the position behind its newline
FileId = tuple[int, int]


class Stat(NamedTuple):
    device: int
    inode: int
    size: int
    modified_ns: int
    kind: str  # "file", "directory" or "other"

    @property
    def id(self) -> FileId:
        return (self.device, self.inode)


class LogFiles(Protocol):
    """The calls a follower makes; OSError where a file is gone or not ours to read."""

    def list(self, path: str) -> list[str]: ...
    def stat(self, path: str) -> Stat: ...
    def open(self, path: str) -> int: ...
    def fstat(self, handle: int) -> Stat: ...
    def pread(self, handle: int, size: int, position: int) -> bytes: ...
    def close(self, handle: int) -> None: ...


class OsLogFiles:
    """The operating system's files."""

    def list(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def stat(self, path: str) -> Stat:
        found = _stat(os.stat(path))
        # Links to files are followed, links to directories are not: they may lead round in a circle.
        return found._replace(kind="other") if found.kind == "directory" and os.path.islink(path) else found

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def fstat(self, handle: int) -> Stat:
        return _stat(os.fstat(handle))

    def pread(self, handle: int, size: int, position: int) -> bytes:
        return os.pread(handle, size, position)

    def close(self, handle: int) -> None:
        os.close(handle)


class Position(NamedTuple):
    """The last line that came out of a generation. `check` is the CRC of the first bytes of [start, end)."""

    key: str
    start: int
    end: int
    check: int
    seen_ms: int  # when that line was read


class Chunk(NamedTuple):
    """Lines of one generation, in order."""

    key: str
    generation: str
    lines: list[Line]


def position_header(generation: str, start: int, end: int) -> bytes:
    return b"%s %d %d" % (generation.encode(), start, end)


def position_of(key: str, value: bytes, header: bytes, seen_ms: int) -> tuple[str, Position] | None:
    """(generation, position) of a line as it was written down; None for what is not such a header."""
    parts = header.decode(errors="replace").split(" ")
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    start, end = int(parts[1]), int(parts[2])
    content = value + b"\n" if end - start == len(value) + 1 else value
    return parts[0], Position(key, start, end, zlib.crc32(content[:_CHECKED]), seen_ms)


def family_of(path: str) -> str:
    """app.log.1 -> app.log: the name a rotated file had."""
    folder, name = os.path.split(path)
    return os.path.join(folder, _ROTATED.sub("", name) or name)


@dataclass(slots=True, eq=False)
class _Tracker:
    """One open file. `path` is None once it has none of the names we follow."""

    handle: int
    id: FileId
    key: str
    path: str | None
    generation: str | None
    position: Position | None
    offset: int
    limit: int | None
    checked: tuple[int, int]
    active_ms: int


class Follower:
    """Follow `named` files and every text file in `folders`. `positions`: where others left off, by generation.

    With `once` it reads what is there at the first poll and no further.
    """

    def __init__(
        self,
        files: LogFiles,
        named: Sequence[str],
        folders: Sequence[str],
        positions: Mapping[str, Position],
        *,
        once: bool = False,
        without: Sequence[str] = (),
    ) -> None:
        self.left_out: dict[str, str] = {}
        self._files = files
        self._named = list(named)
        self._folders = list(folders)
        self._without = tuple(without)
        self._once = once
        self._open: dict[FileId, _Tracker] = {}
        self._ignored: dict[FileId, tuple[str, int]] = {}
        self._positions: dict[str, Position] = {}
        self._families: dict[str, dict[str, None]] = {}
        self._polled_ms: int | None = None
        for generation, position in positions.items():
            self._remember(generation, position)

    def poll(self, now_ms: int) -> list[Chunk]:
        """The lines that are new, at most LONGEST bytes of each file; nothing once all is handed out."""
        if not self._once or self._polled_ms is None:
            self._reconcile(now_ms)
        self._polled_ms = now_ms
        chunks = [chunk for tracker in list(self._open.values()) if (chunk := self._read(tracker, now_ms)) is not None]
        if not self._once:
            chunks += self._let_go(now_ms)
        return chunks

    def close(self) -> None:
        for tracker in self._open.values():
            self._files.close(tracker.handle)
        self._open.clear()

    # Which files there are.

    def _reconcile(self, now_ms: int) -> None:
        places: dict[FileId, str] = {}
        for path, found in self._candidates():
            places.setdefault(found.id, path)
        moved = self._polled_ms is None
        for tracker in list(self._open.values()):
            place = places.get(tracker.id)
            moved |= place is None and tracker.path is not None
            tracker.path = place
            moved |= self._restarted(tracker, now_ms)
        for file_id, path in places.items():
            if file_id not in self._open:
                self._adopt(path, self._key(path), now_ms)
        if moved:
            for path in self._named:
                self._look_beside(path, now_ms)

    def _candidates(self) -> Iterator[tuple[str, Stat]]:
        # A file's own name before those of its rotated history: who comes first owns a content that two hold.
        for path in self._named:
            yield from self._regular(path)
        walked = [path for folder in self._folders for path in self._walk(folder, 0)]
        walked.sort(key=lambda path: (family_of(path), len(path), path))
        for path in walked[MOST_FILES:]:
            self.left_out[path] = f"more than {MOST_FILES} files"
        for path in walked[:MOST_FILES]:
            yield from self._regular(path)

    def _walk(self, folder: str, depth: int) -> Iterator[str]:
        try:
            names = self._files.list(folder)
        except OSError as error:
            self.left_out[folder] = error.strerror or "unreadable"
            return
        for name in names:
            path = os.path.join(folder, name)
            if path.startswith(self._without):
                continue
            try:
                kind = self._files.stat(path).kind
            except OSError:
                continue
            if kind == "file":
                yield path
            elif kind == "directory" and depth < _DEEPEST:
                yield from self._walk(path, depth + 1)

    def _regular(self, path: str) -> Iterator[tuple[str, Stat]]:
        try:
            found = self._files.stat(path)
        except OSError as error:
            if self._polled_ms is None:
                self.left_out[path] = error.strerror or "unreadable"
            return
        if found.kind != "file":
            self.left_out[path] = "not a regular file"
        elif path.endswith(_COMPRESSED_NAMES):
            self.left_out[path] = "compressed"
        else:
            yield path, found

    def _key(self, path: str) -> str:
        return path if path in self._named else family_of(path)

    # Which content a file holds.

    def _adopt(self, path: str, key: str, now_ms: int) -> None:
        """Open a file that is not open yet, and read it from where its content was left, or from its first byte."""
        opened = self._opened(path)
        if opened is None:
            return
        handle, found = opened
        generation = self._recognized(handle, found, path)
        if self._is_mirrored(handle, found, path):
            self._files.close(handle)
        elif generation is not None:
            self._track(handle, found, path, generation, self._positions[generation].key, now_ms)
        elif self._is_older_copy(handle, found, path):
            self._ignored[found.id] = (path, found.size)
            self._files.close(handle)
        else:
            self._track(handle, found, path, None, key, now_ms)

    def _look_beside(self, path: str, now_ms: int) -> None:
        """Rests, and generations that came and went unseen, of a named file whose family we know."""
        family = family_of(path)
        seen_ms = max((self._positions[name].seen_ms for name in self._families.get(family, ())), default=None)
        if seen_ms is None:
            return
        seen_ns = max(seen_ms, self._polled_ms or 0) * 1_000_000
        known = False  # whether an older one is of those we have read: then this one came after it
        for beside in self._history(family):
            opened = self._opened(beside)
            if opened is None:
                known = True
                continue
            handle, found = opened
            generation = self._recognized(handle, found, beside)
            known |= generation is not None
            if generation is not None:
                wanted, key = found.size > self._positions[generation].end, self._positions[generation].key
            else:
                wanted, key = known or found.modified_ns > seen_ns, path
            if not wanted or self._is_mirrored(handle, found, beside) or self._is_older_copy(handle, found, beside):
                self._files.close(handle)
            else:
                self._track(handle, found, None, generation, key, now_ms)

    def _history(self, family: str) -> list[str]:
        """The rotated files of a family, the oldest first."""
        folder = os.path.dirname(family)
        try:
            paths = [os.path.join(folder, name) for name in self._files.list(folder)]
        except OSError:
            return []
        return sorted(
            (path for path in paths if family_of(path) == family != path and not path.endswith(_COMPRESSED_NAMES)),
            key=_age_order,
        )

    def _opened(self, path: str) -> tuple[int, Stat] | None:
        try:
            handle = self._files.open(path)
        except OSError as error:
            self.left_out[path] = error.strerror or "unreadable"
            return None
        found = self._files.fstat(handle)
        name, size = self._ignored.get(found.id, ("", 0))  # another name or a smaller size: another file in that inode
        if found.kind == "file" and found.id not in self._open and (name != path or size > found.size):
            return handle, found
        self._files.close(handle)
        return None

    def _track(self, handle: int, found: Stat, path: str | None, generation: str | None, key: str, now_ms: int) -> None:
        position = self._positions[generation] if generation is not None else None
        offset = position.end if position is not None else 0
        limit = found.size if self._once else None
        state = (found.size, found.modified_ns)
        self._open[found.id] = _Tracker(
            handle, found.id, key, path, generation, position, offset, limit, checked=state, active_ms=now_ms
        )

    def _recognized(self, handle: int, found: Stat, path: str) -> str | None:
        """The generation whose head and last line this file holds: by inode, else within its family."""
        inode = f"{found.device:x}-{found.inode:x}-"
        family = self._families.get(family_of(path), {})
        names = [name for name in self._positions if name.startswith(inode)]
        # The newest first; a generation in its own inode before one that was copied.
        for name in (*reversed(names), *reversed(family)):
            position = self._positions[name]
            if found.size >= position.end and self._has_head(handle, name) and self._has_line(handle, position):
                return name
        return None

    def _is_older_copy(self, handle: int, found: Stat, path: str) -> bool:
        """A copy that was taken of a generation before its last lines came: nothing in it is new."""
        return family_of(path) != path and any(
            found.size < self._positions[name].end
            and _head_of(name)[0] >= min(_SHORTEST_HEAD, found.size)
            and self._has_head(handle, name)
            for name in self._families.get(family_of(path), ())
        )

    def _is_mirrored(self, handle: int, found: Stat, path: str) -> bool:
        """A copy, in a rotated name, of a file still followed: that may be truncated next, so look again then."""
        if not found.size:
            return False
        size = min(found.size, _CHECKED)
        head, tail = self._files.pread(handle, size, 0), self._files.pread(handle, size, found.size - size)
        return any(
            self._files.pread(tracker.handle, size, found.size - size) == tail
            and self._files.pread(tracker.handle, size, 0) == head
            for tracker in self._open.values()
            if family_of(tracker.path or tracker.key) == family_of(path) != path
        )

    def _has_head(self, handle: int, generation: str) -> bool:
        length, check = _head_of(generation)
        return zlib.crc32(self._files.pread(handle, length, 0)) == check

    def _has_line(self, handle: int, position: Position) -> bool:
        size = min(position.end - position.start, _CHECKED)
        return zlib.crc32(self._files.pread(handle, size, position.start)) == position.check

    def _restarted(self, tracker: _Tracker, now_ms: int) -> bool:
        """Whether the file was truncated or rewritten in place, or may have been: then from its first byte."""
        found = self._files.fstat(tracker.handle)
        if (found.size, found.modified_ns) == tracker.checked:
            return False
        tracker.checked, tracker.active_ms = (found.size, found.modified_ns), now_ms
        if tracker.position is None:
            return True
        if found.size >= tracker.offset and self._has_line(tracker.handle, tracker.position):
            return False
        tracker.generation, tracker.position, tracker.offset = None, None, 0
        if tracker.path is not None:
            tracker.key = self._key(tracker.path)
        return True

    # What is new in a file.

    def _read(self, tracker: _Tracker, now_ms: int) -> Chunk | None:
        room = LONGEST if tracker.limit is None else min(LONGEST, tracker.limit - tracker.offset)
        data = self._files.pread(tracker.handle, room, tracker.offset) if room > 0 else b""
        if not data:
            return None
        if tracker.generation is None and (reason := _unreadable(data)) is not None:
            self._leave_out(tracker, reason)
            return None
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) == LONGEST:
            end = LONGEST
        return self._handed_out(tracker, data[:end], now_ms) if end else None

    def _let_go(self, now_ms: int) -> list[Chunk]:
        """Of rotated files that lie still, hand out a last line without a newline, and close those without a name."""
        chunks = []
        for tracker in list(self._open.values()):
            path = tracker.path
            rotated = path is None or (path not in self._named and family_of(path) != path)
            if not rotated or now_ms - tracker.active_ms < _STILL_MS:
                continue
            data = self._files.pread(tracker.handle, LONGEST, tracker.offset)
            if data:
                chunks.append(self._handed_out(tracker, data, now_ms))
            elif path is None:
                self._files.close(tracker.handle)
                del self._open[tracker.id]
        return chunks

    def _handed_out(self, tracker: _Tracker, data: bytes, now_ms: int) -> Chunk:
        lines: list[Line] = []
        position = tracker.offset
        for text in data.split(b"\n"):
            lines.append((text, position, position + len(text) + 1))
            position += len(text) + 1
        text, start, _ = lines.pop()
        if text:
            # No newline behind it: a piece of a long line, or the end of a file that nobody writes to.
            lines.append((text, start, start + len(text)))
        if tracker.generation is None:
            head = data[:_HEAD]
            tracker.generation = f"{tracker.id[0]:x}-{tracker.id[1]:x}-{len(head)}-{zlib.crc32(head):08x}"
        _, start, end = lines[-1]
        first = start - tracker.offset
        check = zlib.crc32(data[first : first + min(end - start, _CHECKED)])
        tracker.position = Position(tracker.key, start, end, check, now_ms)
        tracker.offset, tracker.active_ms = end, now_ms
        self._remember(tracker.generation, tracker.position)
        return Chunk(tracker.key, tracker.generation, lines)

    def _leave_out(self, tracker: _Tracker, reason: str) -> None:
        self.left_out[tracker.path or tracker.key] = reason
        self._ignored[tracker.id] = (tracker.path or "", 0)
        self._files.close(tracker.handle)
        del self._open[tracker.id]

    def _remember(self, generation: str, position: Position) -> None:
        self._positions[generation] = position
        family = self._families.setdefault(family_of(position.key), {})
        # The newest stands last: it is the one that is looked for first, and the oldest is forgotten.
        family.pop(generation, None)
        family[generation] = None
        if len(family) > MOST_GENERATIONS:
            oldest = next(iter(family))
            del family[oldest]
            self._positions.pop(oldest, None)


def _age_order(path: str) -> int:
    """Grows from the oldest rotated name to the newest: .9 .8 ... .1, and dates upward."""
    digits = re.sub(r"\D", "", path[len(family_of(path)) :]) or "1"
    return int(digits) if len(digits) > 3 else -int(digits)


def _head_of(generation: str) -> tuple[int, int]:
    """(length, CRC) of a generation's head; a name of another kind has a head no file has."""
    parts = generation.split("-")
    try:
        return int(parts[2]), int(parts[3], 16)
    except (IndexError, ValueError):
        return 0, -1


def _unreadable(data: bytes) -> str | None:
    if data.startswith(_COMPRESSED_HEADS):
        return "compressed"
    return "binary" if b"\0" in data[:_LOOKED_AT] else None


def _stat(found: os.stat_result) -> Stat:
    kind = "file" if stat.S_ISREG(found.st_mode) else "directory" if stat.S_ISDIR(found.st_mode) else "other"
    return Stat(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, kind)
