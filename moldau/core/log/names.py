"""Names of files and directories in a log directory: Kafka's.

Lives here: making and parsing names. Nothing here looks at a disk.

    <log dir>/orders-0/                       partition 0 of topic "orders"
    <log dir>/orders-0/00000000000000000042.log, .index, .timeindex, .snapshot
    <log dir>/orders-0.4e1c...-delete/        a deleted partition whose files are still to go
"""

from __future__ import annotations

import re

LOG_SUFFIX = ".log"
INDEX_SUFFIX = ".index"
TIME_INDEX_SUFFIX = ".timeindex"
SNAPSHOT_SUFFIX = ".snapshot"
TRANSACTION_INDEX_SUFFIX = ".txnindex"
TEMPORARY_SUFFIX = ".tmp"
APART_SUFFIX = ".new"

EPOCHS_FILE = "leader-epoch-checkpoint"
PARTITION_FILE = "partition.metadata"
META_FILE = "meta.properties"
RECOVERY_POINTS_FILE = "recovery-point-offset-checkpoint"
START_OFFSETS_FILE = "log-start-offset-checkpoint"
HIGH_WATERMARKS_FILE = "replication-offset-checkpoint"
WRITTEN_POINTS_FILE = "moldau-written-point-checkpoint"
CLEAN_FILE = ".kafka_cleanshutdown"
LOCK_FILE = ".lock"

METADATA_TOPIC = "__cluster_metadata"

NAME_MAX = 255
DELETE_SUFFIX = "-delete"
_DELETED = re.compile(r".+-\d+\.[0-9a-f]{32}-delete")
_PARTITION = re.compile(r"([a-zA-Z0-9._-]+)-(\d{1,10})")
_SEGMENT_FILE = re.compile(r"(\d{20})(\.log|\.index|\.timeindex|\.snapshot|\.txnindex)")


def partition_directory(topic: str, partition: int) -> str:
    """The directory's name of a partition."""
    return f"{topic}-{partition}"


def parse_partition_directory(name: str) -> tuple[str, int] | None:
    """Topic and partition behind a directory's name, or None for anything else."""
    match = _PARTITION.fullmatch(name)
    if match is None or name.endswith((DELETE_SUFFIX, "-future", "-stray")):
        return None
    return match[1], int(match[2])


def deleted_directory(topic: str, partition: int, unique: bytes) -> str:
    """The name a partition's directory gets when it is deleted; `unique` is 16 random bytes."""
    suffix = f"-{partition}.{unique.hex()}{DELETE_SUFFIX}"
    return topic[: NAME_MAX - len(suffix)] + suffix


def is_deleted_directory(name: str) -> bool:
    """Whether `name` is what `deleted_directory` makes."""
    return _DELETED.fullmatch(name) is not None


def segment_file(base_offset: int, suffix: str) -> str:
    """The name of a segment's file: twenty digits and the suffix."""
    return f"{base_offset:020d}{suffix}"


def parse_segment_file(name: str) -> tuple[int, str] | None:
    """Base offset and suffix behind a file's name, or None for files that are not a segment's."""
    match = _SEGMENT_FILE.fullmatch(name)
    return None if match is None else (int(match[1]), match[2])
