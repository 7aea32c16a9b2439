"""Which files a cut changes."""

from __future__ import annotations

from moldau.core.log.config import LogConfig
from moldau.core.log.cutting import cut_files, segment_paths, unlink_all
from tests.support.log_batches import Sender, make_batch
from tests.support.log_rig import Rig, append
from tests.support.memory_files import MemoryFiles

SIZE = len(make_batch([b"x" * 50]))


def test_files_become_shorter_and_fewer() -> None:
    rig = Rig(defaults=LogConfig(segment_bytes=4 * SIZE, index_interval_bytes=0))
    log = rig.log()
    for n in range(10):
        append(log, [b"x" * 50], 1 + n, sender=Sender(7, 0, n))
        rig.turn()
    rig.settle()
    rig.directory.write_checkpoints()
    rig.settle()
    cut_files(rig.files, log, 6)
    names = rig.disk.list(log.directory)
    assert [name for name in names if name.endswith(".log")] == ["00000000000000000000.log", "00000000000000000004.log"]
    assert [name for name in names if name.endswith(".snapshot")] == ["00000000000000000004.snapshot"]
    assert len(rig.disk.read_file(segment_paths(log.directory, 4)[0])) == 2 * SIZE
    assert len(rig.disk.read_file(segment_paths(log.directory, 4)[1])) == 8
    assert rig.disk.read_file(f"{log.directory}/leader-epoch-checkpoint").splitlines()[-1] == b"6 5"


def test_the_files_of_a_segment() -> None:
    assert [path[-14:] for path in segment_paths("/d", 7)] == [
        "0000000007.log",
        "00000007.index",
        "0007.timeindex",
        "00007.txnindex",
        "00007.snapshot",
    ]


def test_what_is_not_there_need_not_be_removed() -> None:
    files = MemoryFiles()
    files.write_file("/a", b"")
    unlink_all(files, ["/a", "/b"])
    assert files.list("/") == []
