"""The options of groups and of `__consumer_offsets`. Names and defaults are Kafka's."""

from __future__ import annotations

from dataclasses import dataclass

from moldau.core.base.options import INT_MAX, MIB, option

OFFSETS_TOPIC = "__consumer_offsets"
MS_PER_MINUTE = 60_000

# A member that has never been answered cannot send heartbeats yet, so its session timeout does not count; without
# any limit, clients that come and go during a long rebalance would pile up. Kafka's constant; it has no option.
NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * MS_PER_MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """How groups behave."""

    initial_rebalance_delay_ms: int = option(
        "group.initial.rebalance.delay.ms",
        3000,
        at_least=0,
        at_most=INT_MAX,
        doc="How long an empty group waits for more members after the first, before its first rebalance.",
    )
    session_timeout_min_ms: int = option(
        "group.min.session.timeout.ms",
        6000,
        at_least=0,
        at_most=INT_MAX,
        doc="The shortest session timeout a member may ask for.",
    )
    session_timeout_max_ms: int = option(
        "group.max.session.timeout.ms",
        1_800_000,
        at_least=0,
        at_most=INT_MAX,
        doc="The longest session timeout a member may ask for.",
    )
    max_size: int = option(
        "group.max.size", INT_MAX, at_least=1, at_most=INT_MAX, doc="The most members one group may have."
    )
    offsets_retention_minutes: int = option(
        "offsets.retention.minutes",
        7 * 24 * 60,
        at_least=1,
        at_most=INT_MAX,
        doc="How long offsets are kept after their group lost its last member, or, where no member ever joined or "
        "the topic is no longer subscribed to, after the last commit.",
    )
    offsets_retention_check_interval_ms: int = option(
        "offsets.retention.check.interval.ms", 600_000, at_least=1, doc="How often to look for offsets to expire."
    )
    offset_metadata_max_bytes: int = option(
        "offset.metadata.max.bytes",
        4096,
        at_least=0,
        at_most=INT_MAX,
        doc="The longest text that may be committed with an offset.",
    )
    offset_commit_timeout_ms: int = option(
        "offsets.commit.timeout.ms",
        5000,
        at_least=1,
        at_most=INT_MAX,
        doc="How long an answer may wait for the log before its client is told to try again.",
    )
    offsets_topic_partitions: int = option(
        "offsets.topic.num.partitions",
        50,
        at_least=1,
        at_most=INT_MAX,
        doc="Partitions of __consumer_offsets when it is made. Do not change it afterwards.",
    )
    offsets_topic_replication_factor: int = option(
        "offsets.topic.replication.factor",
        3,
        at_least=1,
        at_most=32767,
        doc="Replicas of __consumer_offsets when it is made; capped at the live brokers.",
    )
    offsets_topic_segment_bytes: int = option(
        "offsets.topic.segment.bytes",
        100 * MIB,
        at_least=1,
        at_most=INT_MAX,
        doc="Segment size of __consumer_offsets when it is made.",
    )
    offsets_topic_compression_codec: int = option(
        "offsets.topic.compression.codec",
        0,
        at_least=0,
        at_most=4,
        doc="Codec of batches in __consumer_offsets. Ours are written uncompressed.",
        acted_on=False,
    )
    offsets_load_buffer_size: int = option(
        "offsets.load.buffer.size",
        5 * MIB,
        at_least=1,
        at_most=INT_MAX,
        doc="Read buffer of Kafka's loader. Ours reads batch by batch.",
        acted_on=False,
    )

    @property
    def offsets_retention_ms(self) -> int:
        return self.offsets_retention_minutes * MS_PER_MINUTE

    def offsets_topic_configs(self) -> dict[str, str]:
        """The topic configs to make `__consumer_offsets` with."""
        return {
            "cleanup.policy": "compact",
            "compression.type": "producer",
            "segment.bytes": str(self.offsets_topic_segment_bytes),
        }
