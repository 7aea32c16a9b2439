"""The first start on a data directory: whose it is, and what its metadata begins with; later starts: is it ours.

    <first log dir>/meta.properties            cluster id, node id, directory id (every log dir has one)
                    bootstrap.checkpoint       the features that the first leader writes to the log
                    __cluster_metadata-0/00000000000000000000-0000000000.checkpoint     the voters: this node
                    __cluster_metadata-0/partition.metadata                            the topic's fixed id

These are the files that Apache Kafka's `kafka-storage format --standalone` leaves (the last one Kafka adds at its
first start). Crash story: meta.properties comes last, and a directory that has none and nothing but the
others is formatted again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from moldau.core.base.clock import Clock
from moldau.core.base.errors import ConfigError, CorruptData, StorageError
from moldau.core.base.files import Files
from moldau.core.base.ids import ZERO_UUID, random_uuid, uuid_from_text, uuid_text
from moldau.core.log.checkpoints import (
    MetaProperties,
    decode_meta_properties,
    encode_meta_properties,
    encode_partition_metadata,
)
from moldau.core.log.names import LOCK_FILE, META_FILE, PARTITION_FILE, partition_directory
from moldau.core.metadata import features, records
from moldau.core.metadata.decision import Record
from moldau.core.metadata.image import ClusterImage
from moldau.core.metadata.names import CLUSTER_METADATA
from moldau.core.quorum import snapshot
from moldau.core.quorum.driver import METADATA_TOPIC_ID
from moldau.core.quorum.snapshot import SnapshotId
from moldau.core.quorum.voters import STATIC_VOTERS, ReplicaKey, Voter, VoterEndpoint, VoterSet

__all__ = ["METADATA_DIRECTORY", "METADATA_TOPIC_ID", "Formatter", "Identity", "prepare", "read_bootstrap"]

log = logging.getLogger("moldau.metadata")

BOOTSTRAP_FILE = "bootstrap.checkpoint"
METADATA_DIRECTORY = partition_directory(CLUSTER_METADATA, 0)

_START = SnapshotId(0, 0)
# What may lie in a directory that is not formatted yet; the quickstart keeps a broker's log and its own state there.
_IGNORED = frozenset((LOCK_FILE, "lost+found", "broker.log", "broker.log.1", "quickstart.json"))


class Identity(NamedTuple):
    """Whose directories these are. `directory_ids` go by the order of the log dirs."""

    cluster_id: str
    node_id: int
    directory_ids: tuple[bytes, ...]


class Formatter(NamedTuple):
    """What formatting needs of the world. `endpoint` is where this node's controller is to be reached."""

    files: Files
    clock: Clock
    random: Callable[[int], bytes]
    endpoint: VoterEndpoint


def prepare(formatter: Formatter, directories: Sequence[str], node_id: int, cluster_id: str) -> Identity:
    """Check every log dir, format what is new. An empty `cluster_id` takes what is there, or a random one.

    Raises ConfigError where a directory belongs to another node or cluster, StorageError where one cannot be used.
    """
    if cluster_id:
        _check_cluster_id(cluster_id)
    found = [_look(formatter.files, path) for path in directories]
    owner = ""
    for path, meta in zip(directories, found, strict=True):
        if meta is None:
            continue
        _check_owner(path, meta, node_id, cluster_id or owner)
        owner = meta.cluster_id
    if owner and found[0] is None:
        raise StorageError(
            f"{directories[0]} is new, but it stands first among log.dirs and would have to hold the metadata of "
            f"cluster {owner}: put it behind the others"
        )
    chosen = cluster_id or owner or uuid_text(random_uuid(formatter.random(16)))
    ids: list[bytes] = []
    for index, (path, meta) in enumerate(zip(directories, found, strict=True)):
        if meta is None or meta.directory_id == ZERO_UUID:
            meta = MetaProperties(chosen, node_id, random_uuid(formatter.random(16)))
            _format(formatter, path, meta, with_metadata=index == 0 and found[0] is None)
        ids.append(meta.directory_id)
    return Identity(chosen, node_id, tuple(ids))


def read_bootstrap(files: Files, directory: str) -> list[Record]:
    """What a cluster without metadata begins with, as the first log dir says; the default where it says nothing.

    Raises StorageError for a file that cannot be read.
    """
    path = f"{directory}/{BOOTSTRAP_FILE}"
    if not files.exists(path):
        return features.decide_bootstrap(ClusterImage()).records
    try:
        entries = snapshot.decode(files.read_file(path), BOOTSTRAP_FILE)
        return [records.decode(value) for entry in entries for value in entry.values]
    except CorruptData as error:
        raise StorageError(f"{path}: {error}") from error


def _look(files: Files, path: str) -> MetaProperties | None:
    """What a directory says of itself; None for a new one."""
    try:
        files.make_directory(path)
        names = [name for name in files.list(path) if name not in _IGNORED]
        if META_FILE not in names:
            _check_empty(files, path, names)
            return None
        return decode_meta_properties(files.read_file(f"{path}/{META_FILE}"))
    except CorruptData as error:
        raise StorageError(f"{path}/{META_FILE}: {error}") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be used as a data directory: {error.strerror or error}") from error


def _check_empty(files: Files, path: str, names: list[str]) -> None:
    """A directory with somebody's files in it is not taken over."""
    left = [name for name in names if name not in (BOOTSTRAP_FILE, f"{META_FILE}.tmp", f"{BOOTSTRAP_FILE}.tmp")]
    if left == [METADATA_DIRECTORY]:
        inside = files.list(f"{path}/{METADATA_DIRECTORY}")
        left = [name for name in inside if not name.startswith((_START.file, PARTITION_FILE))]
    if left:
        raise StorageError(
            f"{path} holds {left[0]} but no {META_FILE}: it is not an empty directory, and not a data directory of "
            "Moldau's or Apache Kafka's"
        )


def _check_cluster_id(cluster_id: str) -> None:
    try:
        uuid_from_text(cluster_id)
    except ValueError as error:
        raise ConfigError(f"Invalid value {cluster_id} for configuration moldau.cluster.id: {error}") from error


def _check_owner(path: str, meta: MetaProperties, node_id: int, cluster_id: str) -> None:
    if meta.node_id != node_id:
        raise ConfigError(f"{path} belongs to node {meta.node_id}, but node.id is {node_id}")
    if cluster_id and meta.cluster_id != cluster_id:
        raise ConfigError(f"{path} belongs to cluster {meta.cluster_id}, not to {cluster_id}")


def _format(formatter: Formatter, path: str, meta: MetaProperties, *, with_metadata: bool) -> None:
    files = formatter.files
    try:
        if with_metadata:
            _write_metadata(formatter, path, ReplicaKey(meta.node_id, meta.directory_id))
        files.write_file(f"{path}/{META_FILE}", encode_meta_properties(meta))
    except OSError as error:
        raise StorageError(f"{path} cannot be formatted: {error.strerror or error}") from error
    log.info("formatted %s for node %d of cluster %s", path, meta.node_id, meta.cluster_id)


def _write_metadata(formatter: Formatter, path: str, me: ReplicaKey) -> None:
    files, now_ms = formatter.files, formatter.clock.wall_ms()
    voters = VoterSet((Voter(me, (formatter.endpoint,)),))
    files.make_directory(f"{path}/{METADATA_DIRECTORY}")
    topic = encode_partition_metadata(METADATA_TOPIC_ID)
    files.write_file(f"{path}/{METADATA_DIRECTORY}/{PARTITION_FILE}", topic)
    start = b"".join(snapshot.encode(_START, voters, [], now_ms, now_ms))
    files.write_file(f"{path}/{METADATA_DIRECTORY}/{_START.file}", start)
    values = [records.encode(record) for record in features.decide_bootstrap(ClusterImage()).records]
    bootstrap = b"".join(snapshot.encode(_START, VoterSet((), STATIC_VOTERS), values, 0, now_ms))
    files.write_file(f"{path}/{BOOTSTRAP_FILE}", bootstrap)
