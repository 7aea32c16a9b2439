"""The store of committed offsets."""

from __future__ import annotations

import logging

import pytest

from moldau.core.coordinators.group.offsets import Offsets
from moldau.core.coordinators.group.records import Offset, OffsetKey, offset_key, offset_value

KEY = OffsetKey("g", "t", 0)


def value(offset: int) -> bytes:
    return offset_value(Offset(offset, -1, "", 100))


def test_put_overwrite_remove() -> None:
    offsets = Offsets()
    assert not offsets.overwrite(offset_key(KEY), value(1))
    offsets.put(KEY, value(1))
    assert offsets.overwrite(offset_key(KEY), value(2))
    found = offsets.get("g", "t", 0)
    assert found is not None
    assert found.offset == 2
    assert (len(offsets), offsets.has_group("g"), list(offsets.of_group("g"))) == (1, True, [("t", 0, found)])
    offsets.remove(KEY)
    offsets.remove(KEY)
    assert (len(offsets), offsets.has_group("g"), offsets.get("g", "t", 0)) == (0, False, None)
    assert not offsets.overwrite(offset_key(KEY), value(3))  # the quick way leads nowhere now
    offsets.put(KEY, value(4))
    assert offsets.get("g", "t", 0) is not None


def test_a_value_that_cannot_be_read_counts_as_none(caplog: pytest.LogCaptureFixture) -> None:
    offsets = Offsets()
    offsets.put(KEY, b"\0\4broken")
    with caplog.at_level(logging.ERROR):
        assert offsets.get("g", "t", 0) is None
    assert "t-0" in caplog.text


def test_transactions_are_held_until_they_end() -> None:
    offsets = Offsets()
    offsets.hold(7, KEY, value(1))
    assert (offsets.is_pending(KEY), offsets.has_pending("g"), offsets.has_pending("h")) == (True, True, False)
    assert offsets.get("g", "t", 0) is None
    assert offsets.release(7) == {KEY: value(1)}
    assert offsets.release(7) == {}
    assert not offsets.is_pending(KEY)


def test_removing_reaches_into_transactions() -> None:
    offsets = Offsets()
    offsets.hold(7, KEY, value(1))
    offsets.remove(KEY)
    assert not offsets.is_pending(KEY)


def test_deleted_topics_are_forgotten_by_all_groups() -> None:
    offsets = Offsets()
    for group, topic, partition in (("g", "t", 0), ("g", "u", 0), ("h", "t", 1)):
        offsets.put(OffsetKey(group, topic, partition), value(1))
    offsets.hold(7, OffsetKey("i", "t", 2), value(1))
    assert offsets.tombstones_of_topics(frozenset({"t"})) == [
        (offset_key(OffsetKey("g", "t", 0)), None),
        (offset_key(OffsetKey("h", "t", 1)), None),
        (offset_key(OffsetKey("i", "t", 2)), None),
    ]
