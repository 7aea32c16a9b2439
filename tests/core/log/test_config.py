"""The option tables: Kafka 4.3's keys, defaults and ranges."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import parse, table
from moldau.core.log.config import BROKER_KEYS, PAGE_CACHE, DirectoryConfig, LogConfig

# Key, default and one value that is refused, as Apache Kafka 4.3.1's LogConfig has them.
KAFKA = {
    "segment.bytes": ("1073741824", "1048575"),
    "segment.ms": ("604800000", "0"),
    "segment.jitter.ms": ("0", "-1"),
    "segment.index.bytes": ("10485760", "3"),
    "flush.messages": ("9223372036854775807", "0"),
    "flush.ms": ("9223372036854775807", "-1"),
    "retention.bytes": ("-1", "x"),
    "retention.ms": ("604800000", "-2"),
    "max.message.bytes": ("1048588", "-1"),
    "index.interval.bytes": ("4096", "-1"),
    "delete.retention.ms": ("86400000", "-1"),
    "min.compaction.lag.ms": ("0", "-1"),
    "max.compaction.lag.ms": ("9223372036854775807", "0"),
    "file.delete.delay.ms": ("60000", "-1"),
    "min.cleanable.dirty.ratio": ("0.5", "1.1"),
    "cleanup.policy": ("delete", "archive"),
    "unclean.leader.election.enable": ("false", "maybe"),
    "min.insync.replicas": ("1", "0"),
    "compression.type": ("producer", "none"),
    "compression.gzip.level": ("-1", "0"),
    "compression.lz4.level": ("9", "18"),
    "compression.zstd.level": ("3", "23"),
    "preallocate": ("false", "1"),
    "message.timestamp.type": ("CreateTime", "Now"),
    "message.timestamp.before.max.ms": ("9223372036854775807", "-1"),
    "message.timestamp.after.max.ms": ("3600000", "-1"),
    "leader.replication.throttled.replicas": ("", "1"),
    "follower.replication.throttled.replicas": ("", "1:x"),
    "remote.storage.enable": ("false", "0"),
    "local.retention.ms": ("-2", "-3"),
    "local.retention.bytes": ("-2", "-3"),
    "remote.log.copy.disable": ("false", ""),
    "remote.log.delete.on.disable": ("false", ""),
}


def test_every_topic_config_of_kafka_is_known_with_its_default() -> None:
    rows = table(LogConfig)
    assert {key for key in rows if not key.startswith("moldau.")} == set(KAFKA)
    assert {key: rows[key].text(rows[key].default) for key in KAFKA} == {key: row[0] for key, row in KAFKA.items()}


@pytest.mark.parametrize(("key", "value"), [(key, row[1]) for key, row in KAFKA.items()])
def test_impossible_values(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=key):
        parse(LogConfig, {key: value})


def test_possible_values() -> None:
    config = parse(
        LogConfig,
        {
            "cleanup.policy": "compact,delete",
            "leader.replication.throttled.replicas": "0:1,1:2",
            "follower.replication.throttled.replicas": "*",
            "compression.gzip.level": "9",
            "moldau.durability": "page-cache",
        },
    )
    assert config.cleanup_policy == ("compact", "delete")
    assert config.durability == PAGE_CACHE


def test_brokers_name_the_defaults_of_topics() -> None:
    unnamed = {"remote.storage.enable", "remote.log.copy.disable", "remote.log.delete.on.disable"}
    unnamed |= {"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"}
    assert set(table(LogConfig)) - set(BROKER_KEYS) == unnamed
    assert [key for key, _ in BROKER_KEYS["retention.ms"]] == [
        "log.retention.ms",
        "log.retention.minutes",
        "log.retention.hours",
    ]
    convert = dict(BROKER_KEYS["retention.ms"])
    assert convert["log.retention.hours"]("2") == "7200000"
    assert convert["log.retention.minutes"]("2") == "120000"
    assert convert["log.retention.hours"]("-1") == "-1"
    assert convert["log.retention.ms"]("5") == "5"


def test_what_makes_a_topic_durable() -> None:
    assert LogConfig().durable
    assert not LogConfig(durability=PAGE_CACHE).durable
    assert LogConfig(durability=PAGE_CACHE, flush_messages=1).durable
    assert not LogConfig().log_append_time


def test_options_of_a_directory() -> None:
    config = parse(DirectoryConfig, {"moldau.log.sync.method": "syncfs", "producer.id.expiration.ms": "1"})
    assert (config.sync_method, config.producer_id_expiration_ms) == ("syncfs", 1)
    with pytest.raises(ConfigError):
        parse(DirectoryConfig, {"moldau.log.sync.method": "fsync"})
