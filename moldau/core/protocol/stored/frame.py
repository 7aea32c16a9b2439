"""What stands around a stored message: a metadata record's frame, a coordinator record's version.

    __cluster_metadata value     uvarint 1 | uvarint record type | uvarint version | message
    coordinator key              int16 record type | message (version 0)
    coordinator value            int16 version | message

Reading raises CorruptData. A record type that we do not know is None: who replays decides what that means. Like Kafka
we refuse bytes behind a metadata record and ignore them behind a coordinator's.
"""

from __future__ import annotations

import struct
from typing import Any, TypeVar

from moldau.core.base.errors import CorruptData
from moldau.core.protocol import codec
from moldau.core.protocol.primitives import Buffer, read_uvarint, uvarint
from moldau.core.protocol.schema import schema_of
from moldau.core.protocol.stored import groups, metadata

T = TypeVar("T")

_FRAME_VERSION = 1
_PREFIX = struct.Struct(">h")


def _declared(module: Any, kind: str) -> dict[int, type[Any]]:
    """The messages of one kind that a module declares, by their record type."""
    classes = (item for item in vars(module).values() if isinstance(item, type) and "__schema__" in vars(item))
    return {schema_of(cls).key: cls for cls in classes if schema_of(cls).kind == kind}


METADATA_RECORDS = _declared(metadata, "metadata")
GROUP_KEYS = _declared(groups, "coordinator-key")
GROUP_VALUES = _declared(groups, "coordinator-value")


def encode_metadata(record: Any, version: int) -> bytes:
    """A metadata record as the value of a log record."""
    key = schema_of(type(record)).key
    return uvarint(_FRAME_VERSION) + uvarint(key) + uvarint(version) + codec.encoder(type(record), version)(record)


def decode_metadata(value: Buffer) -> Any:
    """The metadata record in the value of a log record; None for an unknown type."""
    try:
        frame, position = read_uvarint(value, 0)
        key, position = read_uvarint(value, position)
        version, position = read_uvarint(value, position)
    except IndexError:
        raise CorruptData("a metadata record ends within its frame") from None
    if frame != _FRAME_VERSION:
        raise CorruptData(f"a metadata record has frame version {frame}, not {_FRAME_VERSION}")
    cls = METADATA_RECORDS.get(key)
    if cls is None:
        return None
    record, stop = _message(cls, version, value, position)
    if stop != len(value):
        raise CorruptData(f"{len(value) - stop} bytes stand behind {schema_of(cls).name} v{version}")
    return record


def encode_key(key: Any) -> bytes:
    """The key of a coordinator's record."""
    return _PREFIX.pack(schema_of(type(key)).key) + codec.encoder(type(key), 0)(key)


def encode_value(value: Any, version: int) -> bytes:
    """The value of a coordinator's record."""
    return _PREFIX.pack(version) + codec.encoder(type(value), version)(value)


def decode_key(data: Buffer, keys: dict[int, type[Any]] = GROUP_KEYS) -> Any:
    """The key of a coordinator's record, of the types in `keys`; None for another type."""
    cls = keys.get(_prefix(data))
    return None if cls is None else _message(cls, 0, data, _PREFIX.size)[0]


def decode_value(cls: type[T], data: Buffer) -> T:
    """The value of a coordinator's record, whose class the type of its key names (`GROUP_VALUES`)."""
    return _message(cls, _prefix(data), data, _PREFIX.size)[0]


def _prefix(data: Buffer) -> int:
    if len(data) < _PREFIX.size:
        raise CorruptData("a coordinator record ends within its version")
    return int(_PREFIX.unpack_from(data)[0])


def _message(cls: type[T], version: int, data: Buffer, start: int) -> tuple[T, int]:
    schema = schema_of(cls)
    if not schema.versions.covers(version):
        raise CorruptData(f"{schema.name} has no version {version}")
    return codec.decoder(cls, version)(data, start, len(data))
