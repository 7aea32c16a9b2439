"""What a setting comes to: a topic's LogConfig, and the rows that describe a topic's or a broker's settings.

A topic's value is the topic's own, else the cluster's or this broker's dynamic one, else this broker's static
one, else the default; the row names its source and, when asked, everything it was chosen from. Holds what this
broker was told at its start; changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import INT_MAX, Option, parse
from moldau.core.log.config import BROKER_KEYS, LogConfig
from moldau.core.metadata.configs import topic_options
from moldau.core.metadata.image import CLUSTER_DEFAULT, ClusterImage, ResourceType

log = logging.getLogger("moldau.metadata")

CACHE_MAX = 1000

# Broker options that say the same as another one in another unit: shown only where somebody set them.
_SPELLINGS = frozenset(name for names in BROKER_KEYS.values() for name, _ in names[1:])

NOT_ACTED_ON = "Accepted, checked and shown, but not acted on in this release."


class Source(IntEnum):
    """Where a value comes from; Kafka's numbers."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT = 3
    STATIC = 4
    DEFAULT = 5


class ValueType(IntEnum):
    """What a value is; Kafka's numbers."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    LONG = 5
    DOUBLE = 6
    LIST = 7


class Synonym(NamedTuple):
    """A place that has a value for a setting, under the name it has there."""

    name: str
    value: str
    source: Source


class Row(NamedTuple):
    """One setting as DescribeConfigs and CreateTopics show it. `synonyms`: the value in force first."""

    name: str
    value: str | None
    source: Source
    read_only: bool
    type: ValueType
    synonyms: list[Synonym]
    documentation: str


def value_type(option: Option) -> ValueType:
    """Kafka's type of an option; integers that cannot exceed 32 bits are INT."""
    if option.type is bool:
        return ValueType.BOOLEAN
    if option.type is int:
        return ValueType.LONG if option.at_most is None or option.at_most > INT_MAX else ValueType.INT
    if option.type is float:
        return ValueType.DOUBLE
    return ValueType.LIST if option.type is tuple else ValueType.STRING


def documentation(option: Option) -> str:
    """An option's text, which says so when nothing acts on it yet."""
    return option.doc if option.acted_on else f"{option.doc} {NOT_ACTED_ON}"


class ConfigView:
    """`options`: every option of this broker by key. `given`: what it was told, as text by key, checked."""

    def __init__(self, node_id: int, options: Mapping[str, Option], given: Mapping[str, str]) -> None:
        self._node_id = str(node_id)
        self._options = options
        self._given = given
        self._defaults = parse(LogConfig, dict(_topic_defaults(given)))
        self._cache: dict[str, tuple[Mapping[str, str], Mapping[str, str], LogConfig]] = {}

    def log_config(self, image: ClusterImage, topic: str) -> LogConfig:
        """What a topic's logs go by. A stored setting that this release does not know or allow counts for nothing."""
        own = image.config(ResourceType.TOPIC, topic)
        cluster = image.config(ResourceType.BROKER, CLUSTER_DEFAULT)
        cached = self._cache.get(topic)
        if cached is not None and cached[0] is own and cached[1] is cluster:
            return cached[2]
        config = self._defaults
        for key, text in [*_topic_defaults(cluster), *own.items()]:
            if key not in topic_options():
                continue
            try:
                config = parse(LogConfig, {key: text}, config)
            except ConfigError as error:
                log.warning("topic %s: %s; the setting is passed over", topic, error)
        if len(self._cache) > CACHE_MAX + len(image.topics_by_name):
            self._cache.clear()  # mostly deleted topics by now
        self._cache[topic] = (own, cluster, config)
        return config

    def topic_rows(self, image: ClusterImage, own: Mapping[str, str]) -> list[Row]:
        """Every setting of a topic whose own ones are `own`, by name."""
        rows: list[Row] = []
        for key in sorted(topic_options()):
            option = topic_options()[key]
            chosen = list(self._topic_synonyms(image, own, option))
            value = chosen[0].value if chosen else option.text(option.default)
            # Kafka lists no synonym of the default's where the broker's name for it has another unit.
            source = chosen[0].source if chosen else Source.DEFAULT
            rows.append(Row(key, value, source, False, value_type(option), chosen, documentation(option)))
        return rows

    def broker_rows(self, image: ClusterImage) -> list[Row]:
        """Every setting of this broker, by name. Another unit's spelling of an option is not one of its own."""
        rows: list[Row] = []
        for key in sorted(self._options):
            if key in _SPELLINGS and key not in self._given:
                continue
            option = self._options[key]
            default = option.text(option.default)
            chosen = [*self._broker_synonyms(image, key), Synonym(key, default, Source.DEFAULT)]
            first = chosen[0]
            rows.append(Row(key, first.value, first.source, True, value_type(option), chosen, documentation(option)))
        return rows

    def cluster_rows(self, image: ClusterImage) -> list[Row]:
        """What was set for all brokers at once, by name; only what was."""
        rows: list[Row] = []
        for key, value in sorted(image.config(ResourceType.BROKER, CLUSTER_DEFAULT).items()):
            option = self._options.get(key)
            if option is not None:
                synonyms = [Synonym(key, value, Source.DYNAMIC_DEFAULT)]
                kind, text = value_type(option), documentation(option)
                rows.append(Row(key, value, Source.DYNAMIC_DEFAULT, True, kind, synonyms, text))
        return rows

    def _topic_synonyms(self, image: ClusterImage, own: Mapping[str, str], option: Option) -> Iterator[Synonym]:
        key = option.key
        if key in own:
            yield Synonym(key, own[key], Source.TOPIC)
        for broker_key, to_topic in BROKER_KEYS.get(key, ()):
            for synonym in self._broker_synonyms(image, broker_key):
                yield synonym._replace(value=to_topic(synonym.value))
        names = BROKER_KEYS.get(key, ())
        if len(names) == 1:
            yield Synonym(names[0][0], option.text(option.default), Source.DEFAULT)

    def _broker_synonyms(self, image: ClusterImage, key: str) -> Iterator[Synonym]:
        """What was set on a broker option, the strongest first."""
        for name, source in ((self._node_id, Source.DYNAMIC_BROKER), (CLUSTER_DEFAULT, Source.DYNAMIC_DEFAULT)):
            value = image.config(ResourceType.BROKER, name).get(key)
            if value is not None:
                yield Synonym(key, value, source)
        if key in self._given:
            yield Synonym(key, self._given[key], Source.STATIC)


def _topic_defaults(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Topic settings out of what a broker was told: for each, the first of the broker's names that is given."""
    for key, names in BROKER_KEYS.items():
        for broker_key, to_topic in names:
            if broker_key in given:
                yield key, to_topic(given[broker_key])
                break
