"""Putting a run on the disk, and taking it off again."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from moldau.core.base.ids import uuid_text
from moldau.core.log.config import LogConfig
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.run import JOIN_PIECES, CutFailed, Run, write_run
from tests.support.log_rig import ROOT, TOPIC_ID, Rig, append

DIRECTORY = f"{ROOT}/orders-0"


def gathered(rig: Rig, count: int = 3, size: int = 10, config: LogConfig | None = None) -> tuple[PartitionLog, Run]:
    log = rig.log(config=config)
    for _ in range(count):
        append(log, [b"x" * size])
    run = log.take_run()
    assert run is not None
    return log, run


def content(run: Run) -> bytes:
    return b"".join(bytes(piece) for part in run.parts for piece in part.pieces)


def test_the_first_run_makes_the_directory_with_its_topics_id() -> None:
    rig = Rig()
    _, run = gathered(rig)
    assert run.batches == 3
    write_run(rig.files, run)
    assert rig.disk.list(DIRECTORY) == ["00000000000000000000.log", "partition.metadata"]
    assert uuid_text(TOPIC_ID).encode() in rig.disk.read_file(f"{DIRECTORY}/partition.metadata")
    assert rig.disk.read_file(f"{DIRECTORY}/00000000000000000000.log") == content(run)


@pytest.mark.parametrize(("count", "size"), [(3, 10), (JOIN_PIECES, 10), (700, 1000)])
@pytest.mark.parametrize("most", [7, 100_000])
def test_short_writes_go_on(count: int, size: int, most: int) -> None:
    rig = Rig()
    _, run = gathered(rig, count, size)

    class Short:
        """Takes at most `most` bytes a call."""

        def __getattr__(self, name: str) -> Any:
            return getattr(rig.disk, name)

        def writev(self, handle: int, buffers: list[bytes]) -> int:
            taken = b"".join(buffers)[:most]
            return rig.disk.writev(handle, [taken])

    if count == 700 and most == 7:
        return  # the same code, only slower
    write_run(Short(), run)  # type: ignore[arg-type]
    assert rig.disk.read_file(f"{DIRECTORY}/00000000000000000000.log") == content(run)


def test_a_full_disk_leaves_the_file_as_it_was() -> None:
    rig = Rig()
    log, run = gathered(rig)
    write_run(rig.files, run)
    log.run_written(run)
    before = rig.disk.read_file(log.segments[0].path())
    _, second = gathered(rig, 5)
    rig.disk.capacity = sum(len(node.content) for node in rig.disk._names.values()) + 200
    with pytest.raises(OSError, match=r".") as caught:
        write_run(rig.files, second)
    assert caught.value.errno == errno.ENOSPC
    assert rig.disk.read_file(log.segments[0].path()) == before


def test_segments_that_a_failed_run_began_are_removed() -> None:
    rig = Rig()
    _, run = gathered(rig, 10, 50, LogConfig(segment_bytes=300))
    assert len(run.parts) == 5
    rig.files.before("writev", lambda handle, _: rig.files.calls["writev"] == 4 and rig.files.fail("writev", full()))
    with pytest.raises(OSError, match="full"):
        write_run(rig.files, run)
    assert rig.disk.list(DIRECTORY) == ["00000000000000000000.log", "partition.metadata"]
    assert rig.disk.read_file(f"{DIRECTORY}/00000000000000000000.log") == b""


def test_a_file_that_cannot_be_cut_back() -> None:
    rig = Rig()
    _, run = gathered(rig)
    rig.files.fail("writev", full())
    rig.files.fail("truncate", OSError(errno.EIO, "broken"))
    with pytest.raises(CutFailed, match="broken"):
        write_run(rig.files, run)


def full() -> OSError:
    return OSError(errno.ENOSPC, "full")
