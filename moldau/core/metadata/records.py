"""Metadata records as bytes: in the versions of metadata.version 30, which are the highest of each record. Pure."""

from __future__ import annotations

from moldau.core.base.errors import CorruptData
from moldau.core.metadata.decision import Record
from moldau.core.protocol.schema import schema_of
from moldau.core.protocol.stored import frame


def encode(record: Record) -> bytes:
    """A record as the value of an entry."""
    return frame.encode_metadata(record, schema_of(type(record)).versions.high)


def decode(value: bytes) -> Record:
    """The record in an entry. Raises CorruptData, also for a type that this release does not know: a state that
    lacks what a record said must not be served, and less so written to a snapshot."""
    record = frame.decode_metadata(value)
    if record is None:
        raise CorruptData("metadata holds a record of a type that this release does not know")
    return record
