"""Cutting the end off a log: a follower that diverged, or a test's crash.

Lives here: which files change, in which order. Blocks; the log is loaded again afterwards (`recovery.py`),
so nothing in memory has to be mended. The points were lowered before (`points.py`), and each step leaves a
directory that recovery can load: files only become shorter, the newest first.
"""

from __future__ import annotations

from moldau.core.base.files import Files
from moldau.core.log.checkpoints import encode_epochs
from moldau.core.log.names import (
    EPOCHS_FILE,
    INDEX_SUFFIX,
    LOG_SUFFIX,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TRANSACTION_INDEX_SUFFIX,
    parse_segment_file,
    segment_file,
)
from moldau.core.log.partition_log import PartitionLog

SEGMENT_SUFFIXES = (LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX, SNAPSHOT_SUFFIX)


def segment_paths(directory: str, base_offset: int) -> list[str]:
    """Every file a segment may have."""
    return [f"{directory}/{segment_file(base_offset, suffix)}" for suffix in SEGMENT_SUFFIXES]


def unlink_all(files: Files, paths: list[str]) -> None:
    """Remove the files that are there, in this order. Raises OSError."""
    for path in paths:
        if files.exists(path):
            files.unlink(path)


def cut_files(files: Files, log: PartitionLog, offset: int) -> None:
    """Cut the files of `log` so that it ends at or, if a batch holds it, below `offset`. Raises OSError."""
    segment, position = log.place_of(offset)
    for later in reversed(log.segments):
        if later.base_offset > segment.base_offset:
            unlink_all(files, segment_paths(log.directory, later.base_offset))
    file = segment.opened()
    files.truncate(file.handle, position)
    files.sync_data(file.handle)
    segment.offsets.cut(segment.offsets.count_while(offset, 0))
    segment.times.cut(segment.times.count_while(offset, 1))
    for name in files.list(log.directory):
        parsed = parse_segment_file(name)
        if parsed is not None and parsed[1] == SNAPSHOT_SUFFIX and parsed[0] > offset:
            files.unlink(f"{log.directory}/{name}")
    log.leader_epochs.truncate_to(offset)
    files.write_file(f"{log.directory}/{EPOCHS_FILE}", encode_epochs(log.leader_epochs.entries))
