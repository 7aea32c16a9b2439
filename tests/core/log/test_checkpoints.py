"""The small text files, byte for byte as Kafka has them."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.base.ids import ZERO_UUID, uuid_text
from moldau.core.log import checkpoints
from moldau.core.log.checkpoints import MetaProperties
from tests.support.memory_files import MemoryFiles

ID = bytes(range(16))


def test_offsets() -> None:
    offsets = {("orders", 0): 4711, ("a.b", 12): 0}
    content = checkpoints.encode_offsets(offsets)
    assert content == b"0\n2\norders 0 4711\na.b 12 0\n"
    assert checkpoints.decode_offsets(content) == offsets
    assert checkpoints.decode_offsets(checkpoints.encode_offsets({})) == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"0", b"x\n0\n", b"1\n0\n", b"0\n2\norders 0 1\n", b"0\n1\norders 0\n", b"0\n1\na b c\n", b"\xff\n0\n"],
)
def test_broken_offsets(content: bytes) -> None:
    with pytest.raises(CorruptData):
        checkpoints.decode_offsets(content)


def test_epochs() -> None:
    assert checkpoints.encode_epochs([(0, 0), (3, 17)]) == b"0\n2\n0 0\n3 17\n"
    assert checkpoints.decode_epochs(b"0\n2\n0 0\n3 17\n") == [(0, 0), (3, 17)]
    with pytest.raises(CorruptData):
        checkpoints.decode_epochs(b"0\n1\n3\n")


def test_partition_metadata() -> None:
    content = checkpoints.encode_partition_metadata(ID)
    assert content == b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw"
    assert checkpoints.decode_partition_metadata(content) == ID
    for broken in (b"", b"version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw", b"version: 0\ntopic_id: short"):
        with pytest.raises(CorruptData):
            checkpoints.decode_partition_metadata(broken)


def test_meta_properties() -> None:
    meta = MetaProperties("some-cluster", 3, ID)
    content = checkpoints.encode_meta_properties(meta)
    assert content.decode().splitlines() == [
        "#",
        "cluster.id=some-cluster",
        f"directory.id={uuid_text(ID)}",
        "node.id=3",
        "version=1",
    ]
    assert checkpoints.decode_meta_properties(content) == meta


def test_meta_properties_as_java_writes_them() -> None:
    content = b"#\n#Tue Nov 24 15:26:55 UTC 2026\ncluster.id=abc\\=\nnode.id=1\nversion=1\n"
    assert checkpoints.decode_meta_properties(content) == MetaProperties("abc=", 1, ZERO_UUID)
    for broken in (b"", b"version=0\ncluster.id=a\nnode.id=1\n", b"version=1\ncluster.id=a\nnode.id=x\n"):
        with pytest.raises(CorruptData):
            checkpoints.decode_meta_properties(broken)


def test_clean_shutdown() -> None:
    assert checkpoints.encode_clean_shutdown(17) == b'{"version":0,"brokerEpoch":17}'


def test_replacing_without_a_sync() -> None:
    files = MemoryFiles()
    files.write_file("/file", b"old and longer")
    checkpoints.replace_unsynced(files, "/file", b"new")
    assert files.read_file("/file") == b"new"
    files.crash()
    assert files.read_file("/file") == b"old and longer"
