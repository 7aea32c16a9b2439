"""ApiVersions on the wire: what is served, how unknown versions are told, names that are no software's."""

from __future__ import annotations

import struct

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.codec import decoder
from moldau.core.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from moldau.core.protocol.registry import APIS
from tests.support.wire import Wire


def ask(wire: Wire, version: int, name: str = "test", software: str = "1.0") -> ApiVersionsResponse:
    return wire.call(ApiVersionsRequest(name, software), ApiVersionsResponse, version)


@pytest.mark.parametrize("version", range(5))
def test_every_version_names_what_is_served(wire: Wire, version: int, oracle: bool) -> None:
    answer = ask(wire, version)
    assert answer.error_code == 0
    ranges = {api.api_key: (api.min_version, api.max_version) for api in answer.api_keys}
    served = {key: (api.advertised_min, api.max_version) for key, api in APIS.items()}
    if oracle:
        ranges = {key: ranges[key] for key in served}
    assert ranges == served
    assert answer.throttle_time_ms == 0


def test_old_librdkafka_finds_the_produce_version_that_keeps_its_compression(wire: Wire) -> None:
    produce = next(api for api in ask(wire, 0).api_keys if api.api_key == 0)
    assert (produce.min_version, produce.max_version) == (0, 13)


def test_features_from_version_3_on(wire: Wire, oracle: bool) -> None:
    third, fourth = ask(wire, 3), ask(wire, 4)
    assert [feature.name for feature in third.supported_features] == ["metadata.version"]
    names = {feature.name for feature in fourth.supported_features}
    assert {"metadata.version", "kraft.version"} <= names
    finalized = {feature.name: feature.max_version_level for feature in third.finalized_features}
    assert finalized["metadata.version"] == 30
    assert oracle or finalized == {"metadata.version": 30}
    assert third.finalized_features_epoch > 0
    assert not third.zk_migration_ready
    assert ask(wire, 2).supported_features == []


@pytest.mark.parametrize("version", [5, 99, -1])
def test_an_unknown_version_is_answered_in_version_0_with_one_key(wire: Wire, version: int) -> None:
    head = struct.pack(">hhih", 18, version, 77, -1) + (b"\0" if version >= 3 else b"")
    wire.send_frame(head + b"whatever this version may hold")
    answer = wire.receive_frame()
    assert struct.unpack_from(">i", answer) == (77,)
    message, end = decoder(ApiVersionsResponse, 0)(answer, 4, len(answer))
    assert end == len(answer)
    assert message.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert [(api.api_key, api.min_version, api.max_version) for api in message.api_keys] == [(18, 0, 4)]
    assert ask(wire, 4).error_code == 0, "the connection goes on"


def test_an_unknown_version_with_a_broken_header_closes(wire: Wire) -> None:
    wire.send_frame(struct.pack(">hhih", 18, 99, 77, 100) + b"short")
    assert wire.closed_by_broker()


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a b", "ä", ".a", "a."])
def test_names_that_are_no_softwares_are_refused_and_the_connection_goes_on(wire: Wire, name: str) -> None:
    for answer in (ask(wire, 3, name=name), ask(wire, 4, software=name)):
        assert answer.error_code == ErrorCode.INVALID_REQUEST
        assert answer.api_keys == []
        assert answer.supported_features == []
        assert answer.finalized_features_epoch == -1
    assert ask(wire, 3).error_code == 0


@pytest.mark.parametrize("name", ["a", "a.b-c", "x" * 300, "Moldau-1.0"])
def test_names_of_software(wire: Wire, name: str) -> None:
    assert ask(wire, 3, name=name, software=name).error_code == 0


def test_a_second_question_on_one_connection_is_fine(wire: Wire) -> None:
    assert [ask(wire, version).error_code for version in (0, 4, 3)] == [0, 0, 0]
