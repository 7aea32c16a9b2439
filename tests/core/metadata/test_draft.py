"""Drafts: copied at the first change only, and whole when frozen."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.metadata.draft import ImageDraft, Overlay
from moldau.core.metadata.image import ClusterImage, PartitionImage

ID = b"t" * 16
PARTITION = PartitionImage(1, 0, 0, (1,), (1,))


def test_an_overlay_that_was_not_written_is_its_base() -> None:
    base = {"a": 1}
    overlay = Overlay(base)
    assert overlay.get("a") == 1
    assert overlay.discard("b") is None
    assert overlay.frozen() is base


def test_an_overlay_leaves_its_base_alone() -> None:
    base = {"a": 1, "b": 2}
    overlay = Overlay(base)
    overlay["c"] = 3
    assert overlay.discard("a") == 1
    assert list(overlay.keys()) == ["b", "c"]
    assert overlay.frozen() == {"b": 2, "c": 3}
    assert base == {"a": 1, "b": 2}


def test_freezing_shares_what_did_not_change() -> None:
    before = ClusterImage(configs={(2, "a"): {"k": "v"}})
    draft = ImageDraft(before)
    draft.features["metadata.version"] = 30
    after = draft.freeze(7, 2, 99)
    assert (after.offset, after.epoch, after.timestamp_ms) == (7, 2, 99)
    assert after.configs is before.configs
    assert after.topics_by_name is before.topics_by_name
    assert before.features == {}


def test_a_topic_is_added_and_changed() -> None:
    draft = ImageDraft(ClusterImage())
    draft.add_topic("orders", ID)
    draft.topic(ID).partitions.append(PARTITION)
    image = draft.freeze(0, 1, 0)
    assert image.topics_by_name["orders"] is image.topics_by_id[ID]
    again = ImageDraft(image)
    again.topic(ID).partitions.append(PARTITION)
    assert again.topic_ids() == [ID]
    assert len(again.freeze(1, 1, 0).topics_by_id[ID].partitions) == 2
    assert len(image.topics_by_id[ID].partitions) == 1


def test_a_topic_made_again_under_its_name_survives_the_removal_of_the_old_one() -> None:
    draft = ImageDraft(ClusterImage())
    draft.add_topic("orders", ID)
    image = draft.freeze(0, 1, 0)
    draft = ImageDraft(image)
    assert draft.remove_topic(ID) == "orders"
    draft.add_topic("orders", b"u" * 16)
    after = draft.freeze(1, 1, 0)
    assert after.topics_by_name["orders"].id == b"u" * 16
    assert list(after.topics_by_id) == [b"u" * 16]


def test_broken_histories_are_told() -> None:
    draft = ImageDraft(ClusterImage())
    draft.add_topic("orders", ID)
    with pytest.raises(CorruptData, match="taken"):
        draft.add_topic("other", ID)
    with pytest.raises(CorruptData, match="not there"):
        draft.topic(b"x" * 16)
    draft.topic(ID).partitions.extend([None, PARTITION])
    with pytest.raises(CorruptData, match="no partition 0"):
        draft.freeze(0, 1, 0)
