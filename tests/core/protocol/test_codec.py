"""What is encoded is decoded, for every message and version; codecs are made once; versions are checked."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moldau.core.base.errors import InvariantBroken
from moldau.core.protocol import codec
from moldau.core.protocol.messages.produce import ProduceRequest
from tests.support import messages
from tests.support.sample import Point, Sample, full


@pytest.mark.parametrize("cls", [*messages.ALL, Sample], ids=lambda cls: cls.__name__)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_round_trip_of_every_version(cls: type[Any], seed: int) -> None:
    for version in messages.versions_of(cls):
        made = messages.arbitrary(cls, version, Random(seed))
        encoded = codec.encoder(cls, version)(made)
        assert b"".join(codec.chunk_encoder(cls, version)(made)) == encoded
        decode = codec.decoder(cls, version)
        assert decode(encoded, 0, len(encoded)) == (made, len(encoded))


@pytest.mark.parametrize("cls", messages.ALL, ids=lambda cls: cls.__name__)
def test_decoding_starts_anywhere_in_any_buffer_and_leaves_what_is_behind(cls: type[Any]) -> None:
    for version in messages.versions_of(cls):
        made = messages.arbitrary(cls, version, Random(version))
        encoded = codec.encoder(cls, version)(made)
        around = b"before" + encoded + b"behind"
        stop = 6 + len(encoded)
        for buffer in (around, memoryview(around), memoryview(bytearray(around))):
            for end in (stop, len(around)):
                assert codec.decoder(cls, version)(buffer, 6, end) == (made, stop)


def test_every_kind_of_field_survives() -> None:
    sample = full()
    encoded = codec.encoder(Sample, 2)(sample)
    assert codec.decoder(Sample, 2)(encoded, 0, len(encoded))[0] == sample


def test_records_are_a_view_of_the_input() -> None:
    buffer = bytearray(codec.encoder(Sample, 1)(Sample(batches=b"abc", name="")))
    made, _ = codec.decoder(Sample, 1)(memoryview(buffer), 0, len(buffer))
    assert isinstance(made.batches, memoryview)
    position = bytes(buffer).index(b"abc")
    buffer[position] = ord("X")
    assert bytes(made.batches) == b"Xbc"


def test_codecs_are_made_once() -> None:
    assert codec.decoder(ProduceRequest, 9) is codec.decoder(ProduceRequest, 9)
    assert codec.encoder(ProduceRequest, 9) is codec.encoder(ProduceRequest, 9)


@pytest.mark.parametrize("make", [codec.decoder, codec.encoder, codec.chunk_encoder])
@pytest.mark.parametrize("version", [2, 14])
def test_a_version_that_is_not_declared_has_no_codec(make: Any, version: int) -> None:
    with pytest.raises(InvariantBroken, match=f"ProduceRequest has no version {version}"):
        make(ProduceRequest, version)


def test_bad_utf8_becomes_the_replacement_character() -> None:
    encoded = codec.encoder(Sample, 1)(Sample(name="ab?cd"))
    broken = encoded.replace(b"ab?cd", b"ab\xffcd")
    made, stop = codec.decoder(Sample, 1)(b"--" + broken, 2, 2 + len(broken))
    assert (made.name, stop) == ("ab\ufffdcd", 2 + len(broken))


def test_lone_surrogates_are_encoded_as_question_marks() -> None:
    encoded = codec.encoder(Sample, 1)(Sample(name="ab\udcffcd"))
    assert codec.decoder(Sample, 1)(encoded, 0, len(encoded))[0].name == "ab?cd"
    assert b"".join(codec.chunk_encoder(Sample, 1)(Sample(name="ab\udcffcd"))) == encoded


def test_a_struct_decodes_by_itself() -> None:
    encoded = codec.encoder(Point, 0)(Point(1, 2))
    assert codec.decoder(Point, 0)(encoded, 0, len(encoded)) == (Point(1, 2), 8)
