"""What one partition gathered in a loop turn, on its way to its files.

Lives here: the run's data, and the calls that put it on the disk or take it off again. They run on the
loop or on the write worker and touch nothing but files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moldau.core.base.errors import StorageError
from moldau.core.base.files import GATHER_MAX, Buffer, Files
from moldau.core.base.options import KIB
from moldau.core.log.checkpoints import encode_partition_metadata
from moldau.core.log.names import PARTITION_FILE
from moldau.core.log.producers import Undo
from moldau.core.log.segment import Segment

if TYPE_CHECKING:
    from moldau.core.log.partition_log import PartitionLog


# Many small pieces are cheaper to copy together than to hand over one by one (measured: 200 pieces of 85 bytes on
# average, 16 us against 25).
JOIN_PIECES = 16
JOIN_BYTES = 128 * KIB


class Part:
    """Pieces for one segment's file, to be appended at `position`."""

    __slots__ = ("pieces", "position", "segment", "size")

    def __init__(self, segment: Segment, position: int, pieces: list[Buffer], size: int) -> None:
        self.segment = segment
        self.position = position
        self.pieces = pieces
        self.size = size


class Run:
    """The parts of one gather (more than one only when a segment was rolled in between), and how to take it back."""

    __slots__ = ("batches", "end_offset", "log", "mark", "parts", "size", "undo")

    def __init__(
        self, log: PartitionLog, parts: list[Part], end_offset: int, mark: tuple[int, int], undo: list[Undo]
    ) -> None:
        self.log = log
        self.parts = parts
        self.end_offset = end_offset
        self.mark = mark
        self.undo = undo
        self.size = sum(part.size for part in parts)
        self.batches = sum(len(part.pieces) for part in parts) // 2


class CutFailed(StorageError):
    """A write failed and its file could not be cut back: the directory cannot be used any more."""


def write_run(files: Files, run: Run) -> None:
    """Append everything. On OSError the files are cut back to what they held before. Raises OSError, CutFailed."""
    try:
        for part in run.parts:
            segment = part.segment
            if segment.file is None:
                _make_directory(files, run.log, segment)
            _write(files, segment.opened().handle, part.pieces, part.size)
    except OSError as error:
        cut_back(files, run, error)
        raise


def _make_directory(files: Files, log: PartitionLog, segment: Segment) -> None:
    """A partition's directory is made at its first append, with the id of its topic, since a name may come back."""
    path = f"{segment.directory}/{PARTITION_FILE}"
    if files.exists(path):
        return
    files.make_directory(segment.directory)
    handle = files.open_write(path)
    try:
        files.pwrite(handle, encode_partition_metadata(log.topic_id), 0)
    finally:
        files.close(handle)


def joined(pieces: list[Buffer], size: int) -> list[Buffer]:
    """The same bytes in fewer pieces, where that is cheaper to hand over."""
    return [b"".join(pieces)] if len(pieces) > JOIN_PIECES and size < JOIN_BYTES else pieces


def _write(files: Files, handle: int, pieces: list[Buffer], size: int) -> None:
    pieces = joined(pieces, size)
    for start in range(0, len(pieces), GATHER_MAX):
        group = pieces[start : start + GATHER_MAX]
        _write_rest(files, handle, group, files.writev(handle, group))


def _write_rest(files: Files, handle: int, pieces: list[Buffer], written: int) -> None:
    """Go on after a short write."""
    rest = list(pieces)
    while rest:
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if not rest:
            return
        if written:
            rest[0] = memoryview(rest[0])[written:]
        written = files.writev(handle, rest)


def cut_back(files: Files, run: Run, error: OSError) -> None:
    """Make the files what they were before `run`, whose write ended in `error`. Raises CutFailed."""
    try:
        for part in reversed(run.parts):
            path = part.segment.path()
            if not files.exists(path):
                continue
            files.truncate(part.segment.opened().handle, part.position)
            # Segments that the run itself began go with it; the log forgets them too.
            if part is not run.parts[0]:
                files.unlink(path)
    except OSError as second:
        raise CutFailed(f"{run.log.directory}: {error}; cutting the file back: {second}") from error
