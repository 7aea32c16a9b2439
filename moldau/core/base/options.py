"""One table of options: parse, check, document.

A config is a frozen dataclass whose fields are made by `option(...)`; the field's annotation is its
type (int, float, bool, str, or tuple[str, ...] for comma-separated lists). Keys are Kafka's names.
Impossible values raise `ConfigError` with Kafka's wording, so CreateTopics can answer with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar, Unpack, get_type_hints

from moldau.core.base.errors import ConfigError

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR
KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
INT_MAX = (1 << 31) - 1
LONG_MAX = (1 << 63) - 1

C = TypeVar("C")
Value = int | float | bool | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table. `acted_on=False`: accepted, checked and shown, but not yet acted on."""

    key: str
    field: str
    type: type
    default: Value
    doc: str
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    check: Callable[[Any], str | None] | None = None
    acted_on: bool = True

    def parse(self, text: str) -> Value:
        """The value behind `text`. Raises ConfigError when it cannot be."""
        value = self._convert(text)
        problem = self._problem(value)
        if problem is not None:
            raise ConfigError(f"Invalid value {text} for configuration {self.key}: {problem}")
        return value

    def text(self, value: Value) -> str:
        """`value` as Kafka writes it in config answers and files."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, tuple):
            return ",".join(value)
        return str(value)

    def _convert(self, text: str) -> Value:
        stripped = text.strip()
        if self.type is bool:
            lowered = stripped.lower()
            if lowered not in ("true", "false"):
                raise ConfigError(
                    f"Invalid value {text} for configuration {self.key}: Expected value to be either true or false"
                )
            return lowered == "true"
        if self.type is int or self.type is float:
            try:
                return int(stripped) if self.type is int else float(stripped)
            except ValueError:
                raise ConfigError(
                    f"Invalid value {text} for configuration {self.key}: Not a number of type "
                    f"{'LONG' if self.type is int else 'DOUBLE'}"
                ) from None
        if self.type is tuple:
            return tuple(part.strip() for part in stripped.split(",") if part.strip())
        return stripped

    def _problem(self, value: Value) -> str | None:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if self.at_least is not None and value < self.at_least:
                return f"Value must be at least {self.at_least}"
            if self.at_most is not None and value > self.at_most:
                return f"Value must be no more than {self.at_most}"
        if self.choices:
            for part in value if isinstance(value, tuple) else (value,):
                if part not in self.choices:
                    return f"String must be one of: {', '.join(self.choices)}"
        return self.check(value) if self.check is not None else None


class Limits(TypedDict, total=False):
    """What an option's value may be, and whether anything acts on it yet; see `Option`."""

    at_least: float
    at_most: float
    choices: tuple[str, ...]
    check: Callable[[Any], str | None]  # says what is wrong, or None
    acted_on: bool


def option(key: str, default: Value, *, doc: str, **limits: Unpack[Limits]) -> Any:
    """Declare a field of a config dataclass."""
    row = Option(key, "", type(default), default, doc, **limits)
    return dataclasses.field(default=default, metadata={"option": row})


_tables: dict[type[Any], Mapping[str, Option]] = {}


def table(config: type[Any]) -> Mapping[str, Option]:
    """The rows of a config dataclass, by key, in the order they were declared. Made once: it takes milliseconds."""
    found = _tables.get(config)
    if found is not None:
        return found
    hints = get_type_hints(config)
    rows: dict[str, Option] = {}
    for field in dataclasses.fields(config):
        row: Option | None = field.metadata.get("option")
        if row is not None:
            kind = hints[field.name]
            rows[row.key] = dataclasses.replace(row, field=field.name, type=getattr(kind, "__origin__", kind))
    _tables[config] = rows
    return rows


def parse(config: type[C], settings: Mapping[str, str], base: C | None = None) -> C:
    """A config from texts by key, over `base` or the defaults.

    Raises ConfigError for an impossible value or a key that the table does not have; callers that
    tolerate unknown keys take them out first.
    """
    rows = table(config)
    values: dict[str, Value] = {}
    for key, text in settings.items():
        row = rows.get(key)
        if row is None:
            raise ConfigError(f"Unknown config name: {key}")
        values[row.field] = row.parse(text)
    if base is None:
        return config(**values)
    return dataclasses.replace(base, **values)  # type: ignore[type-var]
