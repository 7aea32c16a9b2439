"""All option tables of a broker as one: which keys there are, and what their texts make.

Each layer has its own table; this is where they come together. `settings.py` says where texts come from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import Option, parse, table
from moldau.core.coordinators.group.config import GroupConfig
from moldau.core.log.config import BROKER_KEYS, DirectoryConfig, LogConfig
from moldau.core.quorum.driver import QuorumConfig
from moldau.core.server.config import BrokerConfig

C = TypeVar("C")

_TABLES: tuple[type[Any], ...] = (BrokerConfig, DirectoryConfig, GroupConfig, QuorumConfig)


@dataclass(frozen=True, slots=True)
class Configs:
    """What one broker process is configured to be. `given`: the texts somebody set, by key."""

    broker: BrokerConfig
    directory: DirectoryConfig
    groups: GroupConfig
    quorum: QuorumConfig
    topics: LogConfig  # the defaults of topics that set nothing of their own
    given: Mapping[str, str]


def options() -> dict[str, Option]:
    """Every key a broker's settings may have. Topic defaults stand under their brokers' names."""
    rows: dict[str, Option] = {}
    for each in _TABLES:
        rows.update(table(each))
    topic_rows = table(LogConfig)
    for topic_key, spellings in BROKER_KEYS.items():
        for broker_key, _ in spellings:
            rows.setdefault(broker_key, dataclasses.replace(topic_rows[topic_key], key=broker_key))
    return rows


def configs_from(settings: Mapping[str, str]) -> Configs:
    """The configs that `settings` make. Raises ConfigError for an impossible value or an unknown key."""
    known = options()
    for key in settings:
        if key not in known:
            raise ConfigError(f"Unknown config name: {key}")
    broker = _pick(BrokerConfig, settings)
    if not broker.log_dirs:
        raise ConfigError("no log.dirs: say where the data lives (moldau serve --data-dir DIR)")
    if len(broker.log_dirs) > 1:
        raise ConfigError("log.dirs names several directories: this release keeps one")
    broker.advertised()  # parses both address lists
    topic_texts: dict[str, str] = {}
    for topic_key, spellings in BROKER_KEYS.items():
        for broker_key, convert in spellings:
            if broker_key in settings:
                known[broker_key].parse(settings[broker_key])
                topic_texts[topic_key] = convert(settings[broker_key])
                break
    return Configs(
        broker,
        _pick(DirectoryConfig, settings),
        _pick(GroupConfig, settings),
        _pick(QuorumConfig, settings),
        parse(LogConfig, topic_texts),
        dict(settings),
    )


def _pick(config: type[C], settings: Mapping[str, str]) -> C:
    rows = table(config)
    return parse(config, {key: text for key, text in settings.items() if key in rows})
