"""Formatting a data directory, and whose it is."""

from __future__ import annotations

import pytest

from moldau.core.base.clock import ManualClock
from moldau.core.base.errors import ConfigError, StorageError
from moldau.core.log.checkpoints import MetaProperties, decode_meta_properties, encode_meta_properties
from moldau.core.metadata import storage
from moldau.core.metadata.storage import Formatter, Identity, prepare, read_bootstrap
from moldau.core.protocol.stored.metadata import FeatureLevelRecord
from moldau.core.quorum import snapshot
from moldau.core.quorum.entries import ControlType
from moldau.core.quorum.voters import ReplicaKey, VoterEndpoint, from_record
from tests.support.images import Random
from tests.support.memory_files import MemoryFiles

CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
ENDPOINT = VoterEndpoint("CONTROLLER", "localhost", 9093)


def formatter(files: MemoryFiles) -> Formatter:
    return Formatter(files, ManualClock(), Random(), ENDPOINT)


def formatted(*directories: str, cluster_id: str = "") -> tuple[MemoryFiles, Identity]:
    files = MemoryFiles()
    return files, prepare(formatter(files), directories or ("/d",), 1, cluster_id)


def test_a_new_directory_gets_what_apache_kafka_gives_it() -> None:
    files, identity = formatted(cluster_id=CLUSTER)
    assert files.list("/d") == ["__cluster_metadata-0", "bootstrap.checkpoint", "meta.properties"]
    meta = decode_meta_properties(files.read_file("/d/meta.properties"))
    assert meta == MetaProperties(CLUSTER, 1, identity.directory_ids[0])
    assert files.list("/d/__cluster_metadata-0") == [
        "00000000000000000000-0000000000.checkpoint",
        "partition.metadata",
    ]
    assert b"topic_id: AAAAAAAAAAAAAAAAAAAAAQ" in files.read_file("/d/__cluster_metadata-0/partition.metadata")
    start = files.read_file("/d/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")
    header, footer = snapshot.decode(start, "start")
    assert dict(header.control)[ControlType.KRAFT_VERSION].kraft_version == 1
    (voter,) = from_record(dict(header.control)[ControlType.KRAFT_VOTERS]).voters
    assert voter == (ReplicaKey(1, identity.directory_ids[0]), (ENDPOINT,))
    assert footer.has(ControlType.SNAPSHOT_FOOTER)
    assert read_bootstrap(files, "/d") == [FeatureLevelRecord(name="metadata.version", feature_level=30)]


def test_the_sizes_are_those_of_apache_kafka() -> None:
    """`kafka-storage format --standalone` of 4.3.1 left 241 bytes with a voter at 127.0.0.1."""
    files = MemoryFiles()
    prepare(formatter(files)._replace(endpoint=VoterEndpoint("CONTROLLER", "127.0.0.1", 9093)), ["/d"], 1, "")
    assert len(files.read_file("/d/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")) == 241


def test_a_second_start_finds_the_same() -> None:
    files, identity = formatted("/d", "/e")
    assert len(set(identity.directory_ids)) == 2
    assert prepare(formatter(files), ["/d", "/e"], 1, "") == identity
    assert prepare(formatter(files), ["/d", "/e"], 1, identity.cluster_id) == identity


def test_another_directory_joins_behind_the_first() -> None:
    files, identity = formatted()
    more = prepare(formatter(files)._replace(random=lambda size: b"r" * size), ["/d", "/new"], 1, "")
    assert (more.cluster_id, more.directory_ids[0]) == (identity.cluster_id, identity.directory_ids[0])
    assert files.list("/new") == ["meta.properties"]
    with pytest.raises(StorageError, match="put it behind the others"):
        prepare(formatter(files), ["/newer", "/d"], 1, "")


def test_directories_of_others_are_refused() -> None:
    files, identity = formatted()
    with pytest.raises(ConfigError, match=r"/d belongs to node 1, but node.id is 2"):
        prepare(formatter(files), ["/d"], 2, "")
    with pytest.raises(ConfigError, match=f"/d belongs to cluster {identity.cluster_id}, not to {CLUSTER}"):
        prepare(formatter(files), ["/d"], 1, CLUSTER)
    files.make_directory("/o")
    files.write_file("/o/meta.properties", encode_meta_properties(MetaProperties(CLUSTER, 1, b"o" * 16)))
    with pytest.raises(ConfigError, match="/o belongs to cluster"):
        prepare(formatter(files), ["/d", "/o"], 1, "")


def test_a_directory_of_a_release_without_directory_ids_gets_one() -> None:
    files = MemoryFiles()
    files.make_directory("/d")
    files.write_file("/d/meta.properties", encode_meta_properties(MetaProperties(CLUSTER, 1)))
    identity = prepare(formatter(files), ["/d"], 1, "")
    assert identity.directory_ids[0] != bytes(16)
    assert decode_meta_properties(files.read_file("/d/meta.properties")).directory_id == identity.directory_ids[0]


@pytest.mark.parametrize("cluster_id", ["short", "AAAAAAAAQACAAAAAAAAAAQAA", "!" * 22])
def test_a_cluster_id_is_a_uuid(cluster_id: str) -> None:
    with pytest.raises(ConfigError, match=r"configuration moldau\.cluster\.id"):
        formatted(cluster_id=cluster_id)


def test_somebodys_files_are_not_taken_over() -> None:
    files = MemoryFiles()
    files.make_directory("/home")
    files.write_file("/home/thesis.txt", b"x")
    with pytest.raises(StorageError, match=r"/home holds thesis.txt but no meta.properties"):
        prepare(formatter(files), ["/home"], 1, "")
    files, _ = formatted()
    files.write_file("/d/__cluster_metadata-0/00000000000000000000.log", b"x")
    files.unlink("/d/meta.properties")
    with pytest.raises(StorageError, match=r"00000000000000000000\.log"):
        prepare(formatter(files), ["/d"], 1, "")


def test_a_format_that_was_interrupted_is_done_again() -> None:
    """meta.properties is the last file: any crash before it leaves a directory that counts as new."""
    files, _ = formatted()
    files.unlink("/d/meta.properties")
    files.write_file("/d/.lock", b"")
    files.write_file("/d/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint.tmp", b"x")
    identity = prepare(formatter(files)._replace(random=lambda size: b"z" * size), ["/d"], 1, "")
    start = files.read_file("/d/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")
    header = next(snapshot.decode(start, "start"))
    assert (
        from_record(dict(header.control)[ControlType.KRAFT_VOTERS]).voters[0].key.directory_id
        == (identity.directory_ids[0])
    )


def test_files_that_cannot_be_read() -> None:
    files, _ = formatted()
    files.write_file("/d/bootstrap.checkpoint", b"x")
    with pytest.raises(StorageError, match=r"bootstrap\.checkpoint"):
        read_bootstrap(files, "/d")
    files.unlink("/d/bootstrap.checkpoint")
    assert len(read_bootstrap(files, "/d")) == 1
    files.write_file("/d/meta.properties", b"x")
    with pytest.raises(StorageError, match=r"meta\.properties"):
        prepare(formatter(files), ["/d"], 1, "")


def test_a_full_disk_is_told() -> None:
    files = MemoryFiles()
    files.capacity = 10
    with pytest.raises(StorageError, match="/d cannot be formatted"):
        prepare(formatter(files), ["/d"], 1, "")


def test_names() -> None:
    assert storage.METADATA_DIRECTORY == "__cluster_metadata-0"
