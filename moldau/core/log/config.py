"""The options of a log (Kafka 4.3's topic configs), of a log directory, and how brokers name a topic's defaults.

Lives here: the tables only. Who set which value, and where, is core.metadata's and core.server's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moldau.core.base.options import GIB, INT_MAX, KIB, LONG_MAX, MIB, MS_PER_DAY, MS_PER_HOUR, option

SYNCED = "synced"
PAGE_CACHE = "page-cache"

_COMPRESSIONS = ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")


def _gzip_level(level: int) -> str | None:
    return None if level == -1 or 1 <= level <= 9 else "Value must be between 1 and 9 or equal to -1"


def _throttled(replicas: tuple[str, ...]) -> str | None:
    if replicas in ((), ("*",)):
        return None
    for pair in replicas:
        partition, colon, broker = pair.partition(":")
        if not (colon and partition.isdigit() and broker.isdigit()):
            return (
                "must be the literal '*' or a list of replicas in the following format: "
                "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
            )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """Everything a topic can set. Keys, defaults and ranges are Kafka 4.3's, and `moldau.*` ours."""

    segment_bytes: int = option(
        "segment.bytes", GIB, at_least=MIB, at_most=INT_MAX, doc="Bytes after which a new segment file begins."
    )
    segment_ms: int = option(
        "segment.ms",
        7 * MS_PER_DAY,
        at_least=1,
        doc="A new segment begins when a record is this much younger than the segment's first, full or not.",
    )
    segment_jitter_ms: int = option(
        "segment.jitter.ms",
        0,
        at_least=0,
        acted_on=False,
        doc="Random part taken off segment.ms, so that many partitions do not roll at once.",
    )
    segment_index_bytes: int = option(
        "segment.index.bytes", 10 * MIB, at_least=4, at_most=INT_MAX, doc="A full offset index begins a new segment."
    )
    flush_messages: int = option(
        "flush.messages",
        LONG_MAX,
        at_least=1,
        doc="Sync after this many records; 1 makes the topic synced whatever moldau.durability says.",
    )
    flush_ms: int = option("flush.ms", LONG_MAX, at_least=0, doc="Sync records that are this old.")
    retention_bytes: int = option(
        "retention.bytes",
        -1,
        acted_on=False,
        doc="Oldest segments of a partition go beyond this size; -1 has no bound.",
    )
    retention_ms: int = option(
        "retention.ms",
        7 * MS_PER_DAY,
        at_least=-1,
        acted_on=False,
        doc="Segments whose newest record is older than this go; -1 keeps them.",
    )
    max_message_bytes: int = option(
        "max.message.bytes", 1_048_588, at_least=0, at_most=INT_MAX, doc="Largest record batch that is accepted."
    )
    index_interval_bytes: int = option(
        "index.interval.bytes", 4 * KIB, at_least=0, at_most=INT_MAX, doc="Bytes of log between two index entries."
    )
    delete_retention_ms: int = option(
        "delete.retention.ms",
        MS_PER_DAY,
        at_least=0,
        acted_on=False,
        doc="How long tombstones stay readable in a compacted topic.",
    )
    min_compaction_lag_ms: int = option(
        "min.compaction.lag.ms", 0, at_least=0, acted_on=False, doc="A record is not compacted before this age."
    )
    max_compaction_lag_ms: int = option(
        "max.compaction.lag.ms",
        LONG_MAX,
        at_least=1,
        acted_on=False,
        doc="A record is compacted at this age at the latest.",
    )
    file_delete_delay_ms: int = option(
        "file.delete.delay.ms",
        60_000,
        at_least=0,
        acted_on=False,
        doc="Kafka keeps deleted files this long; here they go at once, and slow readers keep theirs open.",
    )
    min_cleanable_dirty_ratio: float = option(
        "min.cleanable.dirty.ratio",
        0.5,
        at_least=0,
        at_most=1,
        acted_on=False,
        doc="Share of not yet compacted bytes that starts a compaction.",
    )
    cleanup_policy: tuple[str, ...] = option(
        "cleanup.policy",
        ("delete",),
        choices=("compact", "delete"),
        acted_on=False,
        doc="What happens to old segments: delete by age and size, compact to the last value per key, or both.",
    )
    unclean_leader_election_enable: bool = option(
        "unclean.leader.election.enable",
        False,
        acted_on=False,
        doc="Whether a replica that is not in sync may lead when no other is left.",
    )
    min_insync_replicas: int = option(
        "min.insync.replicas", 1, at_least=1, at_most=INT_MAX, doc="In-sync replicas that acks=all needs."
    )
    compression_type: str = option(
        "compression.type",
        "producer",
        choices=_COMPRESSIONS,
        acted_on=False,
        doc="Codec of stored batches; `producer` keeps them as they came.",
    )
    compression_gzip_level: int = option(
        "compression.gzip.level", -1, check=_gzip_level, acted_on=False, doc="Level when compression.type is gzip."
    )
    compression_lz4_level: int = option(
        "compression.lz4.level", 9, at_least=1, at_most=17, acted_on=False, doc="Level when compression.type is lz4."
    )
    compression_zstd_level: int = option(
        "compression.zstd.level",
        3,
        at_least=-131_072,
        at_most=22,
        acted_on=False,
        doc="Level when compression.type is zstd.",
    )
    preallocate: bool = option("preallocate", False, acted_on=False, doc="Make segment files at full size.")
    message_timestamp_type: str = option(
        "message.timestamp.type",
        "CreateTime",
        choices=("CreateTime", "LogAppendTime"),
        doc="Whether a batch keeps the producer's timestamps or gets the broker's.",
    )
    message_timestamp_before_max_ms: int = option(
        "message.timestamp.before.max.ms",
        LONG_MAX,
        at_least=0,
        doc="Batches with records older than this are refused.",
    )
    message_timestamp_after_max_ms: int = option(
        "message.timestamp.after.max.ms",
        MS_PER_HOUR,
        at_least=0,
        doc="Batches with records this far in the future are refused.",
    )
    leader_replication_throttled_replicas: tuple[str, ...] = option(
        "leader.replication.throttled.replicas",
        (),
        check=_throttled,
        acted_on=False,
        doc="Replicas whose replication is throttled at the leader.",
    )
    follower_replication_throttled_replicas: tuple[str, ...] = option(
        "follower.replication.throttled.replicas",
        (),
        check=_throttled,
        acted_on=False,
        doc="Replicas whose replication is throttled at the follower.",
    )
    remote_storage_enable: bool = option(
        "remote.storage.enable", False, acted_on=False, doc="Whether segments move to remote storage."
    )
    local_retention_ms: int = option(
        "local.retention.ms",
        -2,
        at_least=-2,
        acted_on=False,
        doc="Age at which local copies of remote segments go; -2 means retention.ms.",
    )
    local_retention_bytes: int = option(
        "local.retention.bytes",
        -2,
        at_least=-2,
        acted_on=False,
        doc="Size beyond which local copies of remote segments go; -2 means retention.bytes.",
    )
    remote_log_copy_disable: bool = option(
        "remote.log.copy.disable", False, acted_on=False, doc="Whether copying to remote storage is stopped."
    )
    remote_log_delete_on_disable: bool = option(
        "remote.log.delete.on.disable",
        False,
        acted_on=False,
        doc="Whether remote segments go when remote storage is switched off.",
    )
    durability: str = option(
        "moldau.durability",
        SYNCED,
        choices=(SYNCED, PAGE_CACHE),
        doc="`synced`: acks=all answers after the disk has the records. `page-cache`: after the write, as in Kafka.",
    )

    @property
    def durable(self) -> bool:
        """Whether an append counts only once it is synced."""
        return self.durability == SYNCED or self.flush_messages == 1

    @property
    def log_append_time(self) -> bool:
        """Whether the broker sets the timestamps."""
        return self.message_timestamp_type == "LogAppendTime"


def _same(text: str) -> str:
    return text


def _minutes(text: str) -> str:
    return str(int(text) * 60_000) if int(text) >= 0 else text


def _hours(text: str) -> str:
    return str(int(text) * MS_PER_HOUR) if int(text) >= 0 else text


# What a broker's configuration calls the default of a topic's key: the first that is set wins. The function makes the
# topic's unit out of the broker's (a negative number means "no bound" in every unit).
BROKER_KEYS: dict[str, tuple[tuple[str, Callable[[str], str]], ...]] = {
    "segment.bytes": (("log.segment.bytes", _same),),
    "segment.ms": (("log.roll.ms", _same), ("log.roll.hours", _hours)),
    "segment.jitter.ms": (("log.roll.jitter.ms", _same), ("log.roll.jitter.hours", _hours)),
    "segment.index.bytes": (("log.index.size.max.bytes", _same),),
    "flush.messages": (("log.flush.interval.messages", _same),),
    "flush.ms": (("log.flush.interval.ms", _same), ("log.flush.scheduler.interval.ms", _same)),
    "retention.bytes": (("log.retention.bytes", _same),),
    "retention.ms": (
        ("log.retention.ms", _same),
        ("log.retention.minutes", _minutes),
        ("log.retention.hours", _hours),
    ),
    "max.message.bytes": (("message.max.bytes", _same),),
    "index.interval.bytes": (("log.index.interval.bytes", _same),),
    "delete.retention.ms": (("log.cleaner.delete.retention.ms", _same),),
    "min.compaction.lag.ms": (("log.cleaner.min.compaction.lag.ms", _same),),
    "max.compaction.lag.ms": (("log.cleaner.max.compaction.lag.ms", _same),),
    "file.delete.delay.ms": (("log.segment.delete.delay.ms", _same),),
    "min.cleanable.dirty.ratio": (("log.cleaner.min.cleanable.ratio", _same),),
    "cleanup.policy": (("log.cleanup.policy", _same),),
    "unclean.leader.election.enable": (("unclean.leader.election.enable", _same),),
    "min.insync.replicas": (("min.insync.replicas", _same),),
    "compression.type": (("compression.type", _same),),
    "compression.gzip.level": (("compression.gzip.level", _same),),
    "compression.lz4.level": (("compression.lz4.level", _same),),
    "compression.zstd.level": (("compression.zstd.level", _same),),
    "preallocate": (("log.preallocate", _same),),
    "message.timestamp.type": (("log.message.timestamp.type", _same),),
    "message.timestamp.before.max.ms": (("log.message.timestamp.before.max.ms", _same),),
    "message.timestamp.after.max.ms": (("log.message.timestamp.after.max.ms", _same),),
    "local.retention.ms": (("log.local.retention.ms", _same),),
    "local.retention.bytes": (("log.local.retention.bytes", _same),),
    "moldau.durability": (("moldau.durability", _same),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryConfig:
    """What one log directory does by itself, whatever its topics say."""

    sync_method: str = option(
        "moldau.log.sync.method",
        "auto",
        choices=("auto", "fdatasync", "syncfs"),
        doc="How dirty files reach the disk: one fdatasync each, one syncfs for all, or by their number.",
    )
    sync_files_max: int = option(
        "moldau.log.sync.files.max",
        1,
        at_least=1,
        doc="Up to this many dirty files `auto` syncs one by one; syncfs also flushes what neighbours have dirty.",
    )
    inline_write_bytes: int = option(
        "moldau.log.inline.write.bytes",
        256 * KIB,
        at_least=0,
        doc="Up to this much is written on the event loop in one go.",
    )
    slow_sync_ms: int = option(
        "moldau.log.slow.sync.ms",
        50,
        at_least=0,
        doc="While a sync is older than this, writes leave the event loop: they may have to wait for it.",
    )
    pending_bytes_max: int = option(
        "moldau.log.pending.bytes.max",
        64 * MIB,
        at_least=MIB,
        doc="Appends are refused with REQUEST_TIMED_OUT while more than this waits to be written (a stalled disk).",
    )
    unsynced_bytes_max: int = option(
        "moldau.log.unsynced.bytes.max",
        16 * MIB,
        at_least=MIB,
        doc="In synced mode nothing more is written while this much waits for its sync: what a crash leaves to scan.",
    )
    checkpoint_bytes: int = option(
        "moldau.log.checkpoint.bytes",
        16 * MIB,
        at_least=KIB,
        doc="Bytes written to a directory between two checkpoints: what a start after a crash has to scan.",
    )
    scan_bytes_max: int = option(
        "moldau.log.scan.bytes.max",
        48 * MIB,
        at_least=MIB,
        doc="Writes wait for a checkpoint when a start after a crash would have to scan more than this.",
    )
    checkpoint_batch_bytes: int = option(
        "moldau.log.checkpoint.batch.bytes",
        128,
        at_least=0,
        doc="What a batch counts as beyond its bytes, since scanning costs by the batch too.",
    )
    recovery_checkpoint_bytes: int = option(
        "moldau.log.recovery.checkpoint.bytes",
        128 * MIB,
        at_least=KIB,
        doc="Bytes between two recovery points that hold after a power loss too.",
    )
    checkpoint_interval_ms: int = option(
        "log.flush.offset.checkpoint.interval.ms",
        60_000,
        at_least=0,
        at_most=INT_MAX,
        doc="How often recovery points, start offsets and high watermarks are written, however little was.",
    )
    producer_id_expiration_ms: int = option(
        "producer.id.expiration.ms",
        MS_PER_DAY,
        at_least=1,
        doc="A producer's sequences are forgotten after this silence.",
    )
