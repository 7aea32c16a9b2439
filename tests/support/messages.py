"""Every declared message, and values to fill them with: for round trips, for the oracle, for hostile frames."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from random import Random
from typing import Any

from moldau.core.protocol import messages, stored
from moldau.core.protocol.schema import Field, schema_of

_INT_RANGES = {
    "int8": (-(1 << 7), (1 << 7) - 1),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint16": (0, (1 << 16) - 1),
    "uint32": (0, (1 << 32) - 1),
}
_LETTERS = "abcxyz-._019 \u00e9\u4e2d\U0001f40b\x00"


@cache
def declared(package: Any) -> tuple[type[Any], ...]:
    """The messages that the modules of a package declare, in the order of their names."""
    found: dict[str, type[Any]] = {}
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        for item in vars(importlib.import_module(module.name)).values():
            if isinstance(item, type) and "__schema__" in vars(item) and schema_of(item).kind is not None:
                found[item.__name__] = item
    return tuple(found[name] for name in sorted(found))


WIRE = declared(messages)
STORED = declared(stored)
ALL = WIRE + STORED


def versions_of(cls: type[Any]) -> range:
    low, high = schema_of(cls).versions
    return range(low, high + 1)


def arbitrary(cls: type[Any], version: int, random: Random) -> Any:
    """A message of `version` with values from all over their ranges; what the version lacks keeps its default."""
    return Values(version, random).struct(cls)


class Values:
    """Draws values of fields at one version."""

    def __init__(self, version: int, random: Random) -> None:
        self.version = version
        self.random = random

    def struct(self, cls: type[Any]) -> Any:
        fields = [field for field in schema_of(cls).fields if field.versions.covers(self.version)]
        return cls(**{field.name: self.value(field) for field in fields})

    def value(self, field: Field) -> Any:
        if field.tagged.covers(self.version) and self.random.random() < 0.4 and not field.has_new_default():
            return field.default
        if field.nullable.covers(self.version) and self.random.random() < 0.2:
            return None
        return self.present(field)

    def present(self, field: Field) -> Any:
        kind = field.type
        if kind in _INT_RANGES:
            return self.number(field)
        if kind == "array":
            assert field.item is not None
            return [self.present(field.item) for _ in range(self.length(3))]
        if field.struct is not None:
            return self.struct(field.struct)
        if kind == "string":
            return self.text(field)
        if kind == "uuid":
            return self.random.randbytes(16)
        if kind == "bool":
            return self.random.random() < 0.5
        if kind == "float64":
            return self.random.uniform(-1e9, 1e9)
        return self.random.randbytes(self.length(200))

    def length(self, usual: int) -> int:
        """Mostly short; now and then long enough for a second byte of its length."""
        return (
            self.random.choice((0, 1, 2, usual, usual, 130))
            if self.random.random() < 0.05
            else self.random.randint(0, usual)
        )

    def number(self, field: Field) -> int:
        low, high = _INT_RANGES[field.type]
        return self.random.choice((0, 1, low, high, self.random.randint(low, high)))

    def text(self, field: Field) -> str:
        return "".join(self.random.choices(_LETTERS, k=self.length(12)))
