"""Groups' options: Kafka's names, Kafka's defaults."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import parse, table
from moldau.core.coordinators.group.config import GroupConfig


def test_names_and_defaults_are_kafkas() -> None:
    assert {key: row.default for key, row in table(GroupConfig).items()} == {
        "group.initial.rebalance.delay.ms": 3000,
        "group.min.session.timeout.ms": 6000,
        "group.max.session.timeout.ms": 1_800_000,
        "group.max.size": 2_147_483_647,
        "offsets.retention.minutes": 10_080,
        "offsets.retention.check.interval.ms": 600_000,
        "offset.metadata.max.bytes": 4096,
        "offsets.commit.timeout.ms": 5000,
        "offsets.topic.num.partitions": 50,
        "offsets.topic.replication.factor": 3,
        "offsets.topic.segment.bytes": 104_857_600,
        "offsets.topic.compression.codec": 0,
        "offsets.load.buffer.size": 5_242_880,
    }


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"group\.max\.size"):
        parse(GroupConfig, {"group.max.size": "0"})


def test_what_the_offsets_topic_is_made_with() -> None:
    config = parse(GroupConfig, {"offsets.topic.segment.bytes": "1000", "offsets.retention.minutes": "2"})
    assert config.offsets_retention_ms == 120_000
    assert config.offsets_topic_configs() == {
        "cleanup.policy": "compact",
        "compression.type": "producer",
        "segment.bytes": "1000",
    }
