"""kio, another implementation of the same definitions, reads what we write and writes what we read."""

from __future__ import annotations

import importlib
import io
import re
from random import Random
from typing import Any

import pytest
from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode as KioErrorCode
from kio.serial import entity_reader, entity_writer

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol import codec
from moldau.core.protocol.messages.consumer_protocol import ConsumerProtocolAssignment, ConsumerProtocolSubscription
from moldau.core.protocol.registry import APIS
from moldau.core.protocol.schema import Field, schema_of
from moldau.core.protocol.stored.raft import (
    KRaftVersionRecord,
    LeaderChangeMessage,
    SnapshotFooterRecord,
    SnapshotHeaderRecord,
    VotersRecord,
)
from tests.support import messages

SIDES = [
    pytest.param(side, load, id=side.__name__)
    for api in APIS.values()
    for side, load in ((api.request, load_request_schema), (api.response, load_response_schema))
]

DATA = [
    ConsumerProtocolSubscription,
    ConsumerProtocolAssignment,
    LeaderChangeMessage,
    KRaftVersionRecord,
    VotersRecord,
    SnapshotHeaderRecord,
    SnapshotFooterRecord,
]


class KioValues(messages.Values):
    """kio makes enums of error codes and dates or durations of milliseconds: numbers within what those can hold."""

    def number(self, field: Field) -> int:
        if field.name == "error_code":
            return self.random.choice(list(KioErrorCode)).value
        if field.name.endswith("_ms") or "timestamp" in field.name:
            return self.random.choice((0, 1, (1 << 31) - 1, self.random.randrange(1 << 31)))
        return super().number(field)


@pytest.mark.parametrize(("cls", "load"), SIDES)
def test_kio_reads_and_writes_the_same_bytes(cls: type[Any], load: Any) -> None:
    for version in messages.versions_of(cls):
        check(cls, version, load(schema_of(cls).key, version))


@pytest.mark.parametrize("cls", DATA, ids=lambda cls: cls.__name__)
def test_kio_agrees_on_what_is_neither_request_nor_response(cls: type[Any]) -> None:
    folder = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=K)(?=Raft)", "_", cls.__name__).lower()
    for version in messages.versions_of(cls):
        check(cls, version, getattr(importlib.import_module(f"kio.schema.{folder}.v{version}.data"), cls.__name__))


def check(cls: type[Any], version: int, theirs: Any) -> None:
    read, write = entity_reader(theirs), entity_writer(theirs)
    for seed in range(2):
        made = KioValues(version, Random(seed)).struct(cls)
        encoded = codec.encoder(cls, version)(made)
        entity, size = read(encoded, 0)
        assert size == len(encoded)
        written = io.BytesIO()
        write(written, entity)
        assert written.getvalue() == encoded
        assert codec.decoder(cls, version)(written.getvalue(), 0, size) == (made, size)


def test_a_byte_that_differs_would_be_seen() -> None:
    api = APIS[3]
    encoded = codec.encoder(api.request, 9)(api.request(allow_auto_topic_creation=True))
    read, write = entity_reader(load_request_schema(3, 9)), entity_writer(load_request_schema(3, 9))
    written = io.BytesIO()
    write(written, read(encoded.replace(b"\x01\x01", b"\x01\x00"), 0)[0])
    assert written.getvalue() != encoded


def test_error_codes_are_the_same() -> None:
    assert {code.value for code in KioErrorCode} == {code.value for code in ErrorCode}
