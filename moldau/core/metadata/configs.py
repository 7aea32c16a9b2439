"""Settings of topics and brokers in the metadata: what a topic may set, and the replay of its records. Pure.

What a setting comes to for a log, and how it is described, is `config_view.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import Option, parse, table
from moldau.core.log.config import LogConfig
from moldau.core.metadata.draft import ImageDraft
from moldau.core.metadata.image import ClusterImage
from moldau.core.protocol.stored.metadata import ConfigRecord


def topic_options() -> Mapping[str, Option]:
    """What a topic can set, by key."""
    return table(LogConfig)


def topic_config_problem(settings: Mapping[str, str]) -> str | None:
    """Why a topic cannot have these settings, in Kafka's words; None if it can."""
    for key in settings:
        if key not in topic_options():
            return f"Unknown topic config name: {key}"
    try:
        config = parse(LogConfig, settings)
    except ConfigError as error:
        return str(error)
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms:
        return (
            f"conflict topic config setting min.compaction.lag.ms ({config.min_compaction_lag_ms}) > "
            f"max.compaction.lag.ms ({config.max_compaction_lag_ms})"
        )
    if config.remote_storage_enable:
        return (
            "Tiered Storage functionality is disabled in the broker. "
            "Topic cannot be configured with remote log storage."
        )
    return None


def not_acted_on(settings: Mapping[str, str]) -> list[str]:
    """Those of a topic's settings that are accepted but change nothing yet."""
    options = topic_options()
    return [key for key in settings if key in options and not options[key].acted_on]


def _replay(draft: ImageDraft, record: ConfigRecord) -> None:
    resource = (record.resource_type, record.resource_name)
    settings = dict(draft.configs.get(resource) or {})
    if record.value is None:
        settings.pop(record.name, None)
    else:
        settings[record.name] = record.value
    if settings:
        draft.configs[resource] = settings
    else:
        draft.configs.discard(resource)


REPLAY: dict[type, Callable[[ImageDraft, Any], None]] = {ConfigRecord: _replay}


def dump(image: ClusterImage) -> Iterator[ConfigRecord]:
    """Records that make the image's settings again."""
    for (resource_type, name), settings in image.configs.items():
        for key, value in settings.items():
            yield ConfigRecord(resource_type=resource_type, resource_name=name, name=key, value=value)
