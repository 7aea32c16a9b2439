"""Topic settings: what is allowed, and the replay of ConfigRecords."""

from __future__ import annotations

import pytest

from moldau.core.metadata import configs
from moldau.core.protocol.stored.metadata import ConfigRecord
from tests.support.images import EMPTY, replayed


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cleanup.policy": "compact,delete"},
        {"retention.ms": "-1", "retention.bytes": "-2"},
        {"moldau.durability": "page-cache"},
        {"segment.bytes": "1048576", "flush.messages": "1", "max.message.bytes": "0"},
    ],
)
def test_allowed(settings: dict[str, str]) -> None:
    assert configs.topic_config_problem(settings) is None


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"foo": "1"}, "Unknown topic config name: foo"),
        ({"retention.ms": "-2"}, "Invalid value -2 for configuration retention.ms: Value must be at least -1"),
        (
            {"cleanup.policy": "weird"},
            "Invalid value weird for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            {"compression.type": "xx"},
            "Invalid value xx for configuration compression.type: String must be one of: "
            "uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            {"preallocate": "maybe"},
            "Invalid value maybe for configuration preallocate: Expected value to be either true or false",
        ),
        (
            {"min.compaction.lag.ms": "100", "max.compaction.lag.ms": "5"},
            "conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (5)",
        ),
        (
            {"remote.storage.enable": "true"},
            "Tiered Storage functionality is disabled in the broker. "
            "Topic cannot be configured with remote log storage.",
        ),
    ],
)
def test_refused_in_kafkas_words(settings: dict[str, str], problem: str) -> None:
    assert configs.topic_config_problem(settings) == problem


def test_what_changes_nothing_yet() -> None:
    options = configs.topic_options()
    settings = dict.fromkeys(options, "1")
    assert configs.not_acted_on(settings) == [key for key in options if not options[key].acted_on]
    assert configs.not_acted_on({"segment.bytes": "1048576", "unknown": "1"}) == []


def test_settings_are_set_replaced_and_removed() -> None:
    set_two = [
        ConfigRecord(resource_type=2, resource_name="t", name="retention.ms", value="1"),
        ConfigRecord(resource_type=2, resource_name="t", name="segment.ms", value="2"),
        ConfigRecord(resource_type=4, resource_name="", name="min.insync.replicas", value="1"),
        ConfigRecord(resource_type=2, resource_name="t", name="retention.ms", value="3"),
    ]
    image = replayed(EMPTY, set_two)
    assert image.configs == {(2, "t"): {"retention.ms": "3", "segment.ms": "2"}, (4, ""): {"min.insync.replicas": "1"}}
    assert replayed(EMPTY, list(configs.dump(image))).configs == image.configs
    removals = [
        ConfigRecord(resource_type=2, resource_name="t", name=name, value=None)
        for name in ("retention.ms", "segment.ms", "never.set")
    ]
    assert (2, "t") not in replayed(image, removals).configs
