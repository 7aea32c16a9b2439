"""How a message is declared: once, as a typed class whose fields say type, versions, default and meaning.

A declaration is data. The codec (`codec.py`) is made from it at first use, the version table (`registry.py`) is read
from it, and a test compares it with the JSON definitions that Apache Kafka ships. What never lives here: bytes.

    @struct
    class TopicProduceData:
        name: str = string("0-12", entity="topicName", ignorable=True)
        topic_id: bytes = uuid("13+", ignorable=True)
        partition_data: list[PartitionProduceData] = array(PartitionProduceData)

    @message("request", 0, "3-13", flexible="9+")
    class ProduceRequest: ...

Version ranges are Kafka's texts: "3", "3+", "3-7", "none"; "0+" (the default) means every valid version. To a type
checker a declared class is a dataclass. It is made as a `msgspec.Struct`: constructed in C, by position or keyword, in
a third of a slotted dataclass's time, and declared in a tenth of it. Every field has a default, so constructors take
what differs. A struct that stands alone in a field is frozen: one default instance is shared by all messages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import get_annotations
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar, Unpack, cast, dataclass_transform, overload

import msgspec

from moldau.core.base.errors import InvariantBroken

T = TypeVar("T")
MessageKind = Literal["request", "response", "data", "metadata", "coordinator-key", "coordinator-value"]
EntityType = Literal["topicName", "groupId", "transactionalId", "producerId", "brokerId"]

MAX_VERSION = 32767


class Versions(NamedTuple):
    """An inclusive range of versions; empty when `high < low`."""

    low: int
    high: int

    def covers(self, version: int) -> bool:
        return self.low <= version <= self.high


NO_VERSIONS = Versions(0, -1)


@cache
def parse_versions(text: str) -> Versions:
    """Kafka's range syntax: "3", "3+", "3-7", "none"."""
    if text == "none":
        return NO_VERSIONS
    if text.endswith("+"):
        return Versions(int(text[:-1]), MAX_VERSION)
    low, _, high = text.partition("-")
    return Versions(int(low), int(high or low))


class _Unset:
    """The default was not given: the type's own default holds."""


UNSET = _Unset()

_TYPE_DEFAULTS: dict[str, Any] = {
    "bool": False,
    "string": "",
    "bytes": b"",
    "records": None,
    "uuid": bytes(16),
    "float64": 0.0,
}


class More(TypedDict, total=False):
    """What every field helper takes beside its versions."""

    nullable: str  # the versions in which null is a value
    default: Any
    tag: int  # a tagged field of the versions `tagged` (else of all its versions)
    tagged: str
    ignorable: bool  # dropped in silence when a version without it is encoded
    entity: EntityType


class Field:
    """One declared field. `type` is Kafka's name of it, "array" (of `item`) or "struct" (of class `struct`)."""

    __slots__ = (
        "default",
        "entity",
        "ignorable",
        "item",
        "name",
        "nullable",
        "struct",
        "tag",
        "tagged",
        "type",
        "versions",
    )

    def __init__(
        self,
        type_name: str,
        versions: str = "0+",
        *,
        item: Field | None = None,
        struct: type[Any] | None = None,
        **more: Unpack[More],
    ) -> None:
        self.name = ""
        self.type = type_name
        self.versions = parse_versions(versions)
        self.nullable = parse_versions(more.get("nullable", "none"))
        self.tag = more.get("tag")
        self.tagged = NO_VERSIONS if self.tag is None else parse_versions(more.get("tagged", versions))
        self.ignorable = more.get("ignorable", False)
        self.entity = more.get("entity")
        self.item = item
        self.struct = struct
        self.default = more.get("default", UNSET)
        if isinstance(self.default, _Unset):
            if struct is not None:
                self.default = struct()
            elif type_name != "array":
                self.default = _TYPE_DEFAULTS.get(type_name, 0)

    def has_new_default(self) -> bool:
        """Whether the default is a fresh empty list."""
        return self.type == "array" and isinstance(self.default, _Unset)


class Schema(NamedTuple):
    """What a declaration says, for the codec, the registry and the tests."""

    name: str
    fields: tuple[Field, ...]
    kind: MessageKind | None
    key: int
    versions: Versions
    flexible: Versions


def schema_of(cls: type[Any]) -> Schema:
    """The schema behind a declared class. Raises InvariantBroken for any other."""
    schema = cls.__dict__.get("__schema__")
    if not isinstance(schema, Schema):
        raise InvariantBroken(f"{cls.__name__} is not a declared message or struct")
    return schema


# --- fields -----------------------------------------------------------------------------------------------------
# The helpers return the Field, typed as the value it declares: to a type checker it reads as that field's default.


def int8(versions: str = "0+", **more: Unpack[More]) -> int:
    """A signed byte."""
    return cast("int", Field("int8", versions, **more))


def int16(versions: str = "0+", **more: Unpack[More]) -> int:
    """Two bytes, signed."""
    return cast("int", Field("int16", versions, **more))


def int32(versions: str = "0+", **more: Unpack[More]) -> int:
    """Four bytes, signed."""
    return cast("int", Field("int32", versions, **more))


def int64(versions: str = "0+", **more: Unpack[More]) -> int:
    """Eight bytes, signed."""
    return cast("int", Field("int64", versions, **more))


def uint16(versions: str = "0+", **more: Unpack[More]) -> int:
    """Two bytes, unsigned."""
    return cast("int", Field("uint16", versions, **more))


def uint32(versions: str = "0+", **more: Unpack[More]) -> int:
    """Four bytes, unsigned."""
    return cast("int", Field("uint32", versions, **more))


def float64(versions: str = "0+", **more: Unpack[More]) -> float:
    """An IEEE 754 double."""
    return cast("float", Field("float64", versions, **more))


def boolean(versions: str = "0+", **more: Unpack[More]) -> bool:
    """A byte; anything but 0 is true."""
    return cast("bool", Field("bool", versions, **more))


def uuid(versions: str = "0+", **more: Unpack[More]) -> bytes:
    """16 raw bytes."""
    return cast("bytes", Field("uuid", versions, **more))


def string(versions: str = "0+", **more: Unpack[More]) -> str:
    """UTF-8 text of at most 32,767 bytes."""
    return cast("str", Field("string", versions, **more))


def octets(versions: str = "0+", **more: Unpack[More]) -> bytes:
    """Kafka's `bytes`: a copy on decode."""
    return cast("bytes", Field("bytes", versions, **more))


def records(versions: str = "0+", **more: Unpack[More]) -> Any:
    """Record batches: on decode a memoryview of the input; on encode bytes-like, or anything with a length."""
    return Field("records", versions, **more)


def nested(cls: type[T], versions: str = "0+", **more: Unpack[More]) -> T:
    """One struct."""
    return cast("T", Field("struct", versions, struct=cls, **more))


@overload
def array(item: type[T], versions: str = "0+", **more: Unpack[More]) -> list[T]: ...
@overload
def array(item: T, versions: str = "0+", **more: Unpack[More]) -> list[T]: ...
def array(item: Any, versions: str = "0+", **more: Unpack[More]) -> Any:
    """A list of structs (`array(Class)`) or of plain values (`array(int32())`)."""
    # A struct that is only ever an array's item needs no default instance.
    of = item if isinstance(item, Field) else Field("struct", struct=item, default=None)
    return Field("array", versions, item=of, **more)


# --- decorators -------------------------------------------------------------------------------------------------


@dataclass_transform()
def message(
    kind: MessageKind, key: int, versions: str, *, flexible: str = "none", name: str | None = None
) -> Callable[[type[T]], type[T]]:
    """Declares a message that stands by itself. `key` is its API key or record type (-1: none)."""

    def declare(cls: type[T]) -> type[T]:
        return _declare(cls, kind, key, parse_versions(versions), parse_versions(flexible), name, frozen=False)

    return declare


@overload
def struct(cls: type[T], /) -> type[T]: ...
@overload
def struct(*, name: str | None = None, frozen: bool = False) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform()
def struct(
    cls: type[T] | None = None, /, *, name: str | None = None, frozen: bool = False
) -> type[T] | Callable[[type[T]], type[T]]:
    """Declares a part of messages. `name` is Kafka's, where ours must differ to be unique in its file."""

    def declare(cls: type[T]) -> type[T]:
        return _declare(cls, None, -1, Versions(0, MAX_VERSION), NO_VERSIONS, name, frozen=frozen)

    return declare if cls is None else declare(cls)


def _declare(
    cls: type[T],
    kind: MessageKind | None,
    key: int,
    versions: Versions,
    flexible: Versions,
    name: str | None,
    *,
    frozen: bool,
) -> type[T]:
    fields = []
    for attribute in get_annotations(cls):
        declared = cls.__dict__[attribute]
        if not isinstance(declared, Field):
            raise InvariantBroken(f"{cls.__name__}.{attribute} is not declared by a field helper")
        declared.name = attribute
        fields.append(declared)
    schema = Schema(name or cls.__name__, tuple(fields), kind, key, versions, flexible)
    made = msgspec.defstruct(
        cls.__name__,
        [(field.name, Any, _default_of(field)) for field in fields],
        module=cls.__module__,
        namespace={"__doc__": cls.__doc__ or schema.name, "__qualname__": cls.__qualname__, "__schema__": schema},
        frozen=frozen,
        gc=False,  # a message is a tree: nothing in it ever points back
    )
    return cast("type[T]", made)


def _default_of(field: Field) -> Any:
    return msgspec.field(default_factory=list) if field.has_new_default() else field.default
