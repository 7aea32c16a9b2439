"""The declared requests and responses are Kafka's, field by field."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from moldau.core.protocol.messages.fetch import FetchResponse
from moldau.core.protocol.registry import APIS
from tests.support import definitions, messages


@pytest.mark.parametrize("cls", messages.WIRE, ids=lambda cls: cls.__name__)
def test_is_what_kafka_defines(cls: type[Any]) -> None:
    assert definitions.differences(cls, definitions.need()[cls.__name__]) == []


def test_every_api_has_its_request_and_response_declared() -> None:
    spoken = {cls for api in APIS.values() for cls in (api.request, api.response)}
    assert {cls for cls in messages.WIRE if cls.__name__.endswith(("Request", "Response"))} == spoken


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "validVersions", "4-17"),
        ((), "flexibleVersions", "13+"),
        ((), "apiKey", 2),
        ((0,), "type", "int64"),
        ((0,), "ignorable", False),
        ((2,), "default", "-1"),
        ((3, 0), "versions", "0-13"),
        ((3, 0), "entityType", "groupId"),
        ((3, 2), "name", "Partition"),
        ((3, 2, 5), "tag", 3),
        ((3, 2, 5), "taggedVersions", "13+"),
        ((3, 2, 8), "nullableVersions", "5+"),
        ((3, 2, 8, 1), "type", "int32"),
        ((3, 2, 10), "type", "bytes"),
        ((4,), "flexibleVersions", "17+"),
    ],
)
def test_the_comparison_sees_a_change_anywhere(path: tuple[int, ...], key: str, value: Any) -> None:
    changed = copy.deepcopy(definitions.need()["FetchResponse"])
    place = changed
    for index in path:
        place = place["fields"][index]
    assert place.get(key) != value
    place[key] = value
    assert definitions.differences(FetchResponse, changed) != []
