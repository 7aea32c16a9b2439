"""The file follower: no line lost, none doubled, whatever happens to the files and to the follower."""

from __future__ import annotations

import errno
import os
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moldau.cli import follow
from moldau.cli.follow import (
    LONGEST,
    Chunk,
    Follower,
    OsLogFiles,
    Position,
    Stat,
    family_of,
    position_header,
    position_of,
)


class MemoryFiles:
    """A file system in memory: names in one folder, inodes with bytes, a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.names: dict[str, int] = {}
        self.inodes: dict[int, bytearray] = {}
        self.modified: dict[int, int] = {}
        self._next = 100
        self._handles: dict[int, int] = {}

    # What a writer or logrotate does.

    def create(self, path: str) -> int:
        self._next += 1
        self.inodes[self._next] = bytearray()
        self.names[path] = self._next
        self.modified[self._next] = self.now_ms
        return self._next

    def append(self, inode: int, data: bytes) -> None:
        self.inodes[inode] += data
        self.modified[inode] = self.now_ms

    def rename(self, source: str, target: str) -> None:
        self.names[target] = self.names.pop(source)

    def copy(self, source: str, target: str) -> None:
        self.append(self.create(target), bytes(self.inodes[self.names[source]]))

    def truncate(self, path: str) -> None:
        del self.inodes[self.names[path]][:]
        self.modified[self.names[path]] = self.now_ms

    # What a follower does.

    def list(self, path: str) -> list[str]:
        return sorted(os.path.basename(name) for name in self.names if os.path.dirname(name) == path)

    def stat(self, path: str) -> Stat:
        if path in self.names:
            return self._stat(self.names[path])
        if any(name.startswith(path + "/") for name in self.names):
            return Stat(1, 1, 0, 0, "directory")
        raise OSError(errno.ENOENT, "No such file or directory")

    def open(self, path: str) -> int:
        inode = self.names[path]
        handle = max(self._handles, default=2) + 1
        self._handles[handle] = inode
        return handle

    def fstat(self, handle: int) -> Stat:
        return self._stat(self._handles[handle])

    def pread(self, handle: int, size: int, position: int) -> bytes:
        return bytes(self.inodes[self._handles[handle]][position : position + size])

    def close(self, handle: int) -> None:
        del self._handles[handle]

    def _stat(self, inode: int) -> Stat:
        return Stat(7, inode, len(self.inodes[inode]), self.modified[inode] * 1_000_000, "file")


class Topic:
    """Where chunks are written down; what was on its way when the follower was killed may be lost."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes, int]] = []
        self._on_the_way: list[tuple[str, bytes, bytes, int]] = []

    def send(self, chunks: list[Chunk], now_ms: int) -> None:
        for chunk in chunks:
            for text, start, end in chunk.lines:
                self._on_the_way.append((chunk.key, text, position_header(chunk.generation, start, end), now_ms))

    def arrive(self, count: int | None = None) -> None:
        count = len(self._on_the_way) if count is None else count
        self.records += self._on_the_way[:count]
        del self._on_the_way[:count]

    def lose(self) -> None:
        self._on_the_way.clear()

    def positions(self) -> dict[str, Position]:
        found: dict[str, Position] = {}
        for key, text, header, seen_ms in self.records:
            known = position_of(key, text, header, seen_ms)
            assert known is not None
            found.pop(known[0], None)
            found[known[0]] = known[1]
        return found

    def texts(self) -> list[bytes]:
        return [text for _, text, _, _ in self.records]


LOG = "/log/app.log"


class World:
    """A writer, a rotation, a follower and a topic, moved step by step."""

    def __init__(self, *, folder: bool) -> None:
        self.files = MemoryFiles()
        self.topic = Topic()
        self.folder = folder
        self.inode = self.files.create(LOG)
        self.written: list[bytes] = []
        self.half = b""
        self.rotated = 0
        self.line(1)
        self.start()
        self.poll()
        self.topic.arrive()

    def start(self) -> None:
        named, folders = ([], ["/log"]) if self.folder else ([LOG], [])
        self.follower = Follower(self.files, named, folders, self.topic.positions())

    def kill(self, arrived: int) -> None:
        self.topic.arrive(arrived)
        self.topic.lose()
        self.start()

    def poll(self) -> None:
        self.files.now_ms += 10
        self.topic.send(self.follower.poll(self.files.now_ms), self.files.now_ms)
        self.files.now_ms += 10

    def line(self, count: int) -> None:
        for _ in range(count):
            self.finish_line()
            text = b"line %06d of the log" % len(self.written)
            self.files.append(self.inode, text + b"\n")
            self.written.append(text)

    def half_line(self) -> None:
        if not self.half:
            self.half = b"line %06d in two" % len(self.written)
            self.files.append(self.inode, self.half)

    def finish_line(self) -> None:
        if self.half:
            self.files.append(self.inode, b" parts\n")
            self.written.append(self.half + b" parts")
            self.half = b""

    def shift(self) -> None:
        """Make room for a new app.log.1. What is gone for good must have been read, or nobody could."""
        self.rotated += 1
        for number in range(self.rotated - 1, 0, -1):
            self.files.rename(f"{LOG}.{number}", f"{LOG}.{number + 1}")

    def rotate_by_rename(self) -> None:
        """The writer goes on in the old file until its next line."""
        self.shift()
        self.files.rename(LOG, f"{LOG}.1")
        created = self.files.create(LOG)
        self.finish_line()
        self.inode = created

    def rotate_by_copy(self, polled_between: bool) -> None:
        self.finish_line()
        self.shift()
        self.files.copy(LOG, f"{LOG}.1")
        if polled_between:
            self.poll()
        self.files.truncate(LOG)

    def settle(self) -> None:
        self.finish_line()
        for _ in range(3):
            self.poll()
        self.topic.arrive()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("line"), st.integers(1, 4)),
        st.tuples(st.just("half"), st.just(0)),
        st.tuples(st.just("finish"), st.just(0)),
        st.tuples(st.just("rename"), st.just(0)),
        st.tuples(st.just("copy"), st.integers(0, 1)),
        st.tuples(st.just("poll"), st.just(0)),
        st.tuples(st.just("arrive"), st.integers(0, 5)),
        st.tuples(st.just("kill"), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(folder=st.booleans(), steps=STEPS)
@settings(max_examples=300, deadline=None)
def test_every_line_comes_out_once(folder: bool, steps: list[tuple[str, int]]) -> None:
    world = World(folder=folder)
    for step, number in steps:
        if step == "line":
            world.line(number)
        elif step == "half":
            world.half_line()
        elif step == "finish":
            world.finish_line()
        elif step == "rename":
            world.rotate_by_rename()
        elif step == "copy":
            world.rotate_by_copy(bool(number))
        elif step == "poll":
            world.poll()
        elif step == "arrive":
            world.topic.arrive(number)
        else:
            world.kill(number)
    world.settle()
    assert Counter(world.topic.texts()) == Counter(world.written)


def texts(chunks: list[Chunk]) -> list[bytes]:
    return [text for chunk in chunks for text, _, _ in chunk.lines]


def drained(follower: Follower, now_ms: int = 1) -> list[bytes]:
    found: list[bytes] = []
    while chunks := follower.poll(now_ms):
        found += texts(chunks)
    return found


def test_once_reads_what_was_there_and_no_further(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n" * 50_000 + b"half")
    follower = Follower(OsLogFiles(), [str(log)], [], {}, once=True)
    found = texts(follower.poll(1))
    with log.open("ab") as file:
        file.write(b" and more\nlater\n")
    found += drained(follower)
    assert found == [b"one", b"two"] * 50_000
    follower.close()


def test_positions_say_which_bytes_a_line_takes_up() -> None:
    files = MemoryFiles()
    content = b"a\n\nbcd\r\n"
    files.append(files.create(LOG), content)
    (chunk,) = Follower(files, [LOG], [], {}).poll(1)
    assert chunk.key == LOG
    assert chunk.lines == [(b"a", 0, 2), (b"", 2, 3), (b"bcd\r", 3, 8)]
    assert chunk.generation == f"7-65-8-{zlib.crc32(content):08x}"


def test_a_line_that_is_too_long_comes_in_pieces_and_goes_on_after_a_restart() -> None:
    files, topic = MemoryFiles(), Topic()
    inode = files.create(LOG)
    files.append(inode, b"x" * (LONGEST + 7))
    first = Follower(files, [LOG], [], {})
    topic.send(first.poll(1), 1)
    topic.arrive()
    assert topic.texts() == [b"x" * LONGEST]
    files.append(inode, b"end\nnext\n")
    assert drained(Follower(files, [LOG], [], topic.positions())) == [b"x" * 7 + b"end", b"next"]


def test_older_files_beside_a_named_one_are_not_its_history() -> None:
    files = MemoryFiles()
    files.append(files.create(LOG), b"new\n")
    files.append(files.create(f"{LOG}.1"), b"old\n")
    topic = Topic()
    topic.send(Follower(files, [LOG], [], {}).poll(files.now_ms), files.now_ms)
    topic.arrive()
    assert topic.texts() == [b"new"]
    assert drained(Follower(files, [LOG], [], topic.positions())) == []


def test_a_folder_gives_a_files_history_under_its_own_name() -> None:
    files = MemoryFiles()
    for path, data in ((f"{LOG}.1", b"first\n"), (LOG, b"second\n"), ("/log/other.log.1", b"third\n")):
        files.append(files.create(path), data)
    chunks = Follower(files, [], ["/log"], {}).poll(1)
    assert {(chunk.key, *texts([chunk])) for chunk in chunks} == {
        (LOG, b"first"),
        (LOG, b"second"),
        ("/log/other.log", b"third"),
    }


def test_equal_files_with_different_names_are_both_read() -> None:
    files = MemoryFiles()
    for path in ("/log/a.log", "/log/b.log"):
        files.append(files.create(path), b"same\n" * 3)
    topic = Topic()
    topic.send(Follower(files, [], ["/log"], {}).poll(1), 1)
    topic.arrive()
    assert len(topic.texts()) == 6
    assert drained(Follower(files, [], ["/log"], topic.positions())) == []


def test_compressed_and_binary_files_are_left_out_with_a_word() -> None:
    files = MemoryFiles()
    files.append(files.create("/log/a.gz"), b"whatever")
    files.append(files.create("/log/b"), b"\x1f\x8b\x08rest")
    files.append(files.create("/log/wtmp"), b"\0\0\1")
    files.append(files.create("/log/good"), b"text\n")
    follower = Follower(files, [], ["/log"], {})
    assert drained(follower) == [b"text"]
    assert follower.left_out == {"/log/a.gz": "compressed", "/log/b": "compressed", "/log/wtmp": "binary"}
    files.rename("/log/wtmp", "/log/gone")
    files.append(files.create("/log/wtmp"), b"now text\n")
    assert drained(follower) == [b"now text"]


def test_the_last_line_of_a_file_that_was_rotated_away_waits_a_minute() -> None:
    files = MemoryFiles()
    files.append(files.create(LOG), b"whole\nhalf")
    follower = Follower(files, [LOG], [], {})
    assert texts(follower.poll(1)) == [b"whole"]
    files.rename(LOG, "/log/elsewhere")
    assert follower.poll(50_000) == []
    assert texts(follower.poll(70_000)) == [b"half"]
    assert follower.poll(200_000) == []


def test_what_lies_in_a_folder_to_leave_out_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "data" / "topic-0"
    inside.mkdir(parents=True)
    (inside / "0.log").write_text("no\n")
    (tmp_path / "yes.log").write_text("yes\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    follower = Follower(OsLogFiles(), [], [str(tmp_path)], {}, without=[f"{tmp_path}/data/"])
    assert drained(follower) == [b"yes"]
    follower.close()


def test_a_file_that_may_not_be_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    files = MemoryFiles()
    files.append(files.create(LOG), b"x\n")

    def refuse(path: str) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files, "open", refuse)
    follower = Follower(files, [LOG, "/log/absent"], [], {})
    assert follower.poll(1) == []
    assert follower.left_out == {LOG: "Permission denied", "/log/absent": "No such file or directory"}


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v/app.log", "/v/app.log"),
        ("/v/app.log.1", "/v/app.log"),
        ("/v/app.log-20261124", "/v/app.log"),
        ("/v/app.log.2026-11-24", "/v/app.log"),
        ("/v/syslog.old", "/v/syslog"),
        ("/v/postgresql-15-main.log", "/v/postgresql-15-main.log"),
        ("/v/1", "/v/1"),
    ],
)
def test_families(path: str, family: str) -> None:
    assert family_of(path) == family


@given(st.binary(max_size=50), st.integers(0, 1 << 60), st.booleans())
def test_headers_come_back(value: bytes, start: int, newline: bool) -> None:
    end = start + len(value) + newline
    found = position_of("key", value, position_header("g-1", start, end), 5)
    assert found is not None
    generation, position = found
    assert (generation, position.start, position.end, position.seen_ms) == ("g-1", start, end, 5)


@pytest.mark.parametrize("header", [b"", b"a b c", b"g 1", b"\xff 1 x", b"g 1 2 3"])
def test_foreign_headers_are_no_positions(header: bytes) -> None:
    assert position_of("key", b"v", header, 0) is None


def test_most_generations_of_a_family_are_forgotten_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MOST_GENERATIONS", 3)
    positions = {f"1-{n}-0-0": Position(LOG, 0, 1, 0, n) for n in range(5)}
    follower = Follower(MemoryFiles(), [], [], positions)
    assert list(follower._positions) == ["1-2-0-0", "1-3-0-0", "1-4-0-0"]
