"""Kafka's own message definitions, out of the jars of a real Apache Kafka, and what ours differ from them in."""

from __future__ import annotations

import json
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from moldau.core.protocol.schema import Field, Schema, Versions, parse_versions, schema_of
from tests.support import peer, tools

JARS = ("clients", "metadata", "group-coordinator", "storage", "raft")

Definition = dict[str, Any]


def need() -> dict[str, Definition]:
    """All definitions, by name; ends the test where the jars cannot be had."""
    if not all(_jar(jar).exists() for jar in JARS):
        tools.unavailable(f"Apache Kafka {peer.VERSION} (make setup fetches it with Maven)")
    return _definitions()


def _jar(name: str) -> Path:
    return peer.libraries() / f"kafka-{name}-{peer.VERSION}.jar"


@cache
def _definitions() -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for jar in JARS:
        with zipfile.ZipFile(_jar(jar)) as archive:
            for entry in archive.namelist():
                if entry.endswith(".json") and "/" in entry:
                    text = re.sub(r"^\s*//.*$", "", archive.read(entry).decode(), flags=re.MULTILINE)
                    definition = json.loads(text)
                    found[definition["name"]] = definition
    return found


def snake(name: str) -> str:
    """ThrottleTimeMs -> throttle_time_ms; KRaft counts as one word."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name.replace("KRaft", "Kraft")).lower()


def differences(cls: type[Any], definition: Definition) -> list[str]:
    """Every point in which a declared message is not what its definition says. Empty: they are the same."""
    schema = schema_of(cls)
    found = [
        f"{schema.name}: {what} is {ours!r}, Kafka has {theirs!r}"
        for what, ours, theirs in (
            ("name", schema.name, definition["name"]),
            ("kind", schema.kind, definition["type"]),
            ("key", schema.key, definition.get("apiKey", -1)),
            ("versions", schema.versions, parse_versions(definition["validVersions"])),
            ("flexible", _within(schema.flexible, schema), _range(definition["flexibleVersions"], schema)),
        )
        if ours != theirs
    ]
    structs = {struct["name"]: struct["fields"] for struct in definition.get("commonStructs", [])}
    return found + _fields(schema, schema, definition["fields"], structs)


def _within(versions: Versions, message: Schema) -> Versions | None:
    """The part of a range in which the message exists; None if there is none."""
    low, high = max(versions.low, message.versions.low), min(versions.high, message.versions.high)
    return Versions(low, high) if low <= high else None


def _range(text: str, message: Schema) -> Versions | None:
    return _within(parse_versions(text), message)


def _fields(message: Schema, ours: Schema, theirs: list[Definition], structs: dict[str, Any]) -> list[str]:
    names = [field.name for field in ours.fields]
    wanted = [snake(field["name"]) for field in theirs]
    if names != wanted:
        return [f"{ours.name}: fields are {names}, Kafka has {wanted}"]
    found: list[str] = []
    for field, definition in zip(ours.fields, theirs, strict=True):
        found += [
            f"{ours.name}.{field.name}: {what} is {mine!r}, Kafka has {kafkas!r}"
            for what, mine, kafkas in _compared(message, field, definition)
            if mine != kafkas
        ]
        inner = field.item if field.item is not None else field
        if inner.struct is not None:
            parts = definition.get("fields") or structs.get(definition["type"].removeprefix("[]"), [])
            found += _fields(message, schema_of(inner.struct), parts, structs)
    return found


def _compared(message: Schema, field: Field, definition: Definition) -> list[tuple[str, Any, Any]]:
    tagged = definition.get("taggedVersions", "none")
    return [
        ("type", _type(field), definition["type"]),
        ("versions", _within(field.versions, message), _range(definition["versions"], message)),
        ("nullable", _within(field.nullable, message), _range(definition.get("nullableVersions", "none"), message)),
        ("tag", field.tag, definition.get("tag")),
        ("tagged", _within(field.tagged, message), _range(tagged, message)),
        ("default", _default(field), _kafkas_default(definition)),
        ("ignorable", field.ignorable, definition.get("ignorable", False)),
        ("entity type", field.entity, definition.get("entityType")),
        ("flexible versions of its own", None, definition.get("flexibleVersions")),
    ]


def _type(field: Field) -> str:
    if field.item is not None:
        return "[]" + _type(field.item)
    return schema_of(field.struct).name if field.struct is not None else field.type


def _default(field: Field) -> Any:
    if field.has_new_default():
        return []
    if field.type == "struct":
        # A struct's default is the struct of its fields' defaults, which are compared by themselves.
        return None if field.default is None else "defaults"
    return field.default


def _kafkas_default(definition: Definition) -> Any:
    """The default that Kafka's generator gives a field, from what the definition says or leaves out."""
    given, kind = definition.get("default", ""), definition["type"]
    if given is None or given == "null" or kind == "records":
        return None
    if kind.startswith("[]"):
        return []
    if kind[0].isupper():
        return "defaults"
    if kind == "string":
        return given
    if kind == "bool":
        return str(given).lower() == "true"
    if kind == "bytes":
        return b""
    if kind == "uuid":
        return bytes(16)
    if kind == "float64":
        return float(given or 0)
    return int(str(given or 0), 0)
