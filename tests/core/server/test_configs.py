"""All option tables as one."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ConfigError
from moldau.core.server.configs import configs_from, options


def test_topic_defaults_come_under_their_brokers_names() -> None:
    configs = configs_from({"log.dirs": "/data", "log.retention.hours": "5", "message.max.bytes": "1000"})
    assert (configs.topics.retention_ms, configs.topics.max_message_bytes) == (5 * 3_600_000, 1000)
    assert configs.given["log.retention.hours"] == "5"


def test_the_finer_unit_wins() -> None:
    configs = configs_from({"log.dirs": "/data", "log.retention.hours": "5", "log.retention.ms": "7"})
    assert configs.topics.retention_ms == 7


def test_no_limit_stays_no_limit_in_every_unit() -> None:
    assert configs_from({"log.dirs": "/data", "log.retention.minutes": "-1"}).topics.retention_ms == -1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "--data-dir"),
        ({"log.dirs": "/a,/b"}, "several"),
        ({"log.dirs": "/a", "no.such.key": "1"}, "Unknown config name: no.such.key"),
        ({"log.dirs": "/a", "log.segment.bytes": "x"}, "log.segment.bytes"),
        ({"log.dirs": "/a", "listeners": "nonsense"}, "listeners"),
    ],
)
def test_what_cannot_be_stops_the_start(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        configs_from(settings)


def test_every_key_stands_under_its_own_name() -> None:
    for key, row in options().items():
        assert row.key == key
