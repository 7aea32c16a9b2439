"""Where a broker's settings come from: flags, environment, files; one mapping of key to text comes out.

    flags  >  MOLDAU_...  >  KAFKA_...  >  files (a later one over an earlier one)  >  defaults of a mode

Files are Java properties, or TOML when their name ends in .toml (dotted keys are Kafka's keys; a key that
is the beginning of another is quoted: "max.connections.per.ip" = 5).

Variables are named as in Apache Kafka's image: upper case, `.` is `_`, `_` is `__`, `-` is `___`. After
MOLDAU_ the leading `moldau.` of our own keys may be left out: MOLDAU_DURABILITY is `moldau.durability`.

A key that neither the option tables nor Kafka know stops the start, and so does an impossible value; a key
of Kafka's that we do not act on is a warning. What a value means is not decided here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import Option
from moldau.core.base.properties import parse_properties
from moldau.core.server import kafka_keys

# Read by the command line or by tests; not settings of a broker.
_NOT_SETTINGS = frozenset(
    {"MOLDAU_BOOTSTRAP", "MOLDAU_COMMAND_CONFIG", "MOLDAU_DATA_DIR", "MOLDAU_OUTPUT", "MOLDAU_PEER_HOME"}
)

# For the JVM and the start script of Kafka's image; they mean nothing here and are passed over without a word.
_JVM_VARIABLES = frozenset(
    {
        *("KAFKA_GC_LOG_OPTS", "KAFKA_HEAP_OPTS", "KAFKA_JMX_HOSTNAME", "KAFKA_JMX_OPTS", "KAFKA_JMX_PORT"),
        *("KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_LOG4J_LOGGERS", "KAFKA_LOG4J_OPTS", "KAFKA_LOG4J_ROOT_LOGLEVEL"),
        *("KAFKA_OPTS", "KAFKA_TOOLS_LOG4J_LOGLEVEL", "KAFKA_VERSION"),
    }
)

# Kafka's other spellings of one option. Units (log.retention.hours) are options of their own; configs.py joins them.
_SPELLINGS = {"log.dir": "log.dirs", "broker.id": "node.id"}


class Given(NamedTuple):
    """One setting as somebody gave it. `source` is for people: a file, a variable, a flag."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """`values`: keys of the option tables only, each value checked. `warnings`: sentences for the user."""

    values: dict[str, str]
    warnings: list[str] = field(default_factory=list)


def load(
    options: Mapping[str, Option],
    *,
    flags: Mapping[str, Given],
    environment: Mapping[str, str],
    files: Sequence[str],
    mode: Mapping[str, str],
) -> Settings:
    """Everything that was given, by precedence. Raises ConfigError, which names the source of what is wrong."""
    warnings: list[str] = []
    layers: list[Mapping[str, Given]] = [{key: Given(text, "this mode") for key, text in mode.items()}]
    layers += [{key: Given(text, path) for key, text in read_file(path).items()} for path in files]
    layers.append(_from_kafka_environment(options, environment, warnings))
    layers.append(_from_our_environment(options, environment))
    layers.append(flags)

    values: dict[str, str] = {}
    for layer in layers:
        # Within one layer the option's own name wins over its other spellings; across layers the later layer does.
        values.update(_checked(options, _spelled(options, layer), warnings))
    return Settings(values, warnings)


def read_file(path: str) -> dict[str, str]:
    """The pairs of one config file. Raises ConfigError when it cannot be read or is broken."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    try:
        text = raw.decode()
        return dict(_flat(tomllib.loads(text))) if path.endswith(".toml") else parse_properties(text)
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def key_of_variable(name: str, prefix: str) -> str:
    """KAFKA_LOG_DIRS -> log.dirs, by the rule of Kafka's image."""
    dotted = name.removeprefix(prefix).lower().replace("_", ".")
    return dotted.replace("...", "-").replace("..", "_")


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        elif isinstance(value, list):
            yield key, ",".join(_text(key, part) for part in value)
        else:
            yield key, _text(key, value)


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError(f"{key} is neither text, number, boolean nor a list of them")


def _from_kafka_environment(
    options: Mapping[str, Option], environment: Mapping[str, str], warnings: list[str]
) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for name, text in sorted(environment.items()):
        if not name.startswith("KAFKA_") or name in _JVM_VARIABLES:
            continue
        key = key_of_variable(name, "KAFKA_")
        if key in options or kafka_keys.is_kafkas(key):
            found[key] = Given(text, f"variable {name}")
        else:
            warnings.append(f"variable {name} ignored: neither Kafka nor Moldau has a setting {key}")
    return found


def _from_our_environment(options: Mapping[str, Option], environment: Mapping[str, str]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for name, text in sorted(environment.items()):
        if not name.startswith("MOLDAU_") or name in _NOT_SETTINGS:
            continue
        key = key_of_variable(name, "MOLDAU_")
        if key not in options and f"moldau.{key}" in options:
            key = f"moldau.{key}"
        found[key] = Given(text, f"variable {name}")
    return found


def _spelled(options: Mapping[str, Option], layer: Mapping[str, Given]) -> dict[str, Given]:
    """The layer with other spellings turned into the option's own name, which goes first."""
    given = dict(layer)
    for spelling, key in _SPELLINGS.items():
        if spelling in given and spelling not in options and key in options:
            given.setdefault(key, given.pop(spelling))
    return given


def _checked(options: Mapping[str, Option], layer: Mapping[str, Given], warnings: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, (text, source) in layer.items():
        option = options.get(key)
        if option is None:
            if not kafka_keys.is_kafkas(key):
                raise ConfigError(f"{source}: unknown setting {key}{_nearest(options, key)}")
            warnings.append(f"{source}: {key} is a setting of Kafka's that Moldau does not act on")
            continue
        try:
            option.parse(text)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
        if not option.acted_on:
            warnings.append(f"{source}: {key} is accepted, but Moldau does not act on it yet")
        values[key] = text
    return values


def _nearest(options: Mapping[str, Option], key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, options, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close else ""
