"""What a log directory's shutdown and deletions do on a worker: nothing but files.

Lives here: the last flush, whose final act is the clean-shutdown marker, and removing directories.
"""

from __future__ import annotations

from typing import NamedTuple

from moldau.core.base.files import Files
from moldau.core.log import names
from moldau.core.log.checkpoints import encode_clean_shutdown
from moldau.core.log.cutting import unlink_all
from moldau.core.log.points import Capture, sync_paths, write_captures


class LastFlush(NamedTuple):
    """Everything a clean end leaves behind."""

    root: str
    captures: list[Capture]
    filesystem: int | None
    recovery_points: bytes
    start_offsets: bytes
    high_watermarks: bytes
    broker_epoch: int


def write_last(files: Files, last: LastFlush) -> None:
    """Indexes and snapshots, then the points, then the marker, each on the disk before the next. Raises OSError."""
    for error in write_captures(files, last.captures):
        if error is not None:
            raise error
    sync_paths(files, [path for taken in last.captures for path in taken.paths], last.filesystem)
    write_offsets(files, last.root, last.start_offsets, last.high_watermarks)
    files.write_file(f"{last.root}/{names.RECOVERY_POINTS_FILE}", last.recovery_points)
    written = f"{last.root}/{names.WRITTEN_POINTS_FILE}"
    if files.exists(written):
        files.unlink(written)
    files.write_file(f"{last.root}/{names.CLEAN_FILE}", encode_clean_shutdown(last.broker_epoch))


def write_offsets(files: Files, root: str, start_offsets: bytes, high_watermarks: bytes) -> None:
    """Kafka's other two checkpoints. Raises OSError."""
    files.write_file(f"{root}/{names.START_OFFSETS_FILE}", start_offsets)
    files.write_file(f"{root}/{names.HIGH_WATERMARKS_FILE}", high_watermarks)


def shorten(files: Files, root: str, start_offsets: bytes, paths: list[str]) -> None:
    """A log begins later: say so on the disk, then remove the files nobody reads any more. Raises OSError."""
    files.write_file(f"{root}/{names.START_OFFSETS_FILE}", start_offsets)
    unlink_all(files, paths)


def remove_tree(files: Files, path: str) -> None:
    """Remove a directory and all that is in it. Raises OSError."""
    for name in files.list(path):
        inner = f"{path}/{name}"
        if files.is_directory(inner):
            remove_tree(files, inner)
        else:
            files.unlink(inner)
    files.remove_directory(path)
