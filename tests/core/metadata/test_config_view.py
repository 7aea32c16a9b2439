"""What settings come to, and how they are described."""

from __future__ import annotations

import pytest

from moldau.core.base.options import Option, table
from moldau.core.log.config import LogConfig
from moldau.core.metadata import config_view
from moldau.core.metadata.config_view import NOT_ACTED_ON, ConfigView, Row, Source, ValueType, documentation, value_type
from moldau.core.metadata.configs import topic_options
from moldau.core.metadata.image import ClusterImage, ResourceType
from moldau.core.protocol.stored.metadata import ConfigRecord
from tests.support.images import EMPTY, replayed

BROKER_OPTIONS = {
    "log.segment.bytes": Option("log.segment.bytes", "", int, 1 << 30, "Segment size.", 1, (1 << 31) - 1),
    "log.retention.ms": Option("log.retention.ms", "", int, -1, "Retention."),
    "log.retention.hours": Option("log.retention.hours", "", int, -1, "Retention, in hours."),
}


def view(**given: str) -> ConfigView:
    return ConfigView(1, BROKER_OPTIONS, {key.replace("_", "."): value for key, value in given.items()})


def image_with(*settings: tuple[int, str, str, str]) -> ClusterImage:
    return replayed(
        EMPTY,
        [
            ConfigRecord(resource_type=kind, resource_name=name, name=key, value=value)
            for kind, name, key, value in settings
        ],
    )


def row(view: ConfigView, image: ClusterImage, key: str, topic: str = "t") -> Row:
    rows = {row.name: row for row in view.topic_rows(image, image.config(ResourceType.TOPIC, topic))}
    return rows[key]


def test_a_topics_own_setting_goes_before_the_brokers() -> None:
    image = image_with((2, "t", "segment.bytes", "2097152"))
    told = view(log_segment_bytes="4194304", log_retention_ms="5000")
    config = told.log_config(image, "t")
    assert (config.segment_bytes, config.retention_ms) == (2097152, 5000)
    assert told.log_config(image, "other").segment_bytes == 4194304
    assert told.log_config(EMPTY, "t").segment_bytes == 4194304


def test_a_config_is_made_once_per_setting() -> None:
    image = image_with((2, "t", "segment.bytes", "2097152"))
    told = view()
    first = told.log_config(image, "t")
    assert told.log_config(image, "t") is first


def test_configs_of_deleted_topics_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_view, "CACHE_MAX", 3)
    told = view()
    first = told.log_config(EMPTY, "t0")
    for number in range(1, 5):
        told.log_config(EMPTY, f"t{number}")
    assert told.log_config(EMPTY, "t0") == first
    assert len(told._cache) <= 4


def test_dynamic_defaults_of_the_cluster_count() -> None:
    image = image_with((4, "", "min.insync.replicas", "2"))
    assert view().log_config(image, "t").min_insync_replicas == 2


def test_stored_settings_of_other_releases_are_passed_over() -> None:
    image = image_with((2, "t", "internal.segment.bytes", "1"), (2, "t", "segment.bytes", "1"))
    assert view().log_config(image, "t") == LogConfig()


def test_rows_say_where_a_value_comes_from() -> None:
    image = image_with((2, "t", "segment.bytes", "2097152"), (4, "", "log.segment.bytes", "3145728"))
    found = row(view(log_segment_bytes="4194304"), image, "segment.bytes")
    assert (found.value, found.source, found.type) == ("2097152", Source.TOPIC, ValueType.INT)
    assert [tuple(synonym) for synonym in found.synonyms] == [
        ("segment.bytes", "2097152", 1),
        ("log.segment.bytes", "3145728", 3),
        ("log.segment.bytes", "4194304", 4),
        ("log.segment.bytes", "1073741824", 5),
    ]


def test_a_default_in_another_unit_has_no_synonym() -> None:
    found = row(view(), EMPTY, "retention.ms")
    assert (found.value, found.source, found.synonyms) == ("604800000", Source.DEFAULT, [])
    static = row(view(log_retention_ms="7"), EMPTY, "retention.ms")
    assert (static.value, static.source) == ("7", Source.STATIC)


def test_all_topic_settings_are_shown() -> None:
    assert [row.name for row in view().topic_rows(EMPTY, {})] == sorted(topic_options())


def test_broker_rows() -> None:
    image = image_with((4, "1", "log.retention.ms", "9"))
    rows = {row.name: row for row in view(log_segment_bytes="4194304").broker_rows(image)}
    assert list(rows) == ["log.retention.ms", "log.segment.bytes"]
    assert (rows["log.retention.ms"].value, rows["log.retention.ms"].source) == ("9", Source.DYNAMIC_BROKER)
    assert (rows["log.segment.bytes"].value, rows["log.segment.bytes"].source) == ("4194304", Source.STATIC)
    assert all(row.read_only for row in rows.values())


def test_types_and_texts() -> None:
    options = table(LogConfig)
    kinds = {
        "cleanup.policy": ValueType.LIST,
        "retention.ms": ValueType.LONG,
        "max.message.bytes": ValueType.INT,
        "min.cleanable.dirty.ratio": ValueType.DOUBLE,
        "preallocate": ValueType.BOOLEAN,
        "compression.type": ValueType.STRING,
    }
    assert {key: value_type(options[key]) for key in kinds} == kinds
    assert documentation(options["preallocate"]).endswith(NOT_ACTED_ON)
    assert documentation(options["segment.bytes"]) == options["segment.bytes"].doc
