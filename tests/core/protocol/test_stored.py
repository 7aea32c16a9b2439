"""The declared stored records are Kafka's, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import definitions, messages


@pytest.mark.parametrize("cls", messages.STORED, ids=lambda cls: cls.__name__)
def test_is_what_kafka_defines(cls: type[Any]) -> None:
    assert definitions.differences(cls, definitions.need()[cls.__name__]) == []


def test_all_metadata_records_of_kafka_are_declared() -> None:
    kafkas = {name for name, definition in definitions.need().items() if definition["type"] == "metadata"}
    kafkas = {
        name for name in kafkas if not name.startswith("Remote")
    }  # tiered storage keeps these in a topic of its own
    assert kafkas - {cls.__name__ for cls in messages.STORED} == set()
