"""Replay of batches, and that a dump makes the same image."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moldau.core.base.errors import CorruptData
from moldau.core.metadata import brokers, topics
from moldau.core.metadata.creation import NewTopic
from moldau.core.metadata.image import ClusterImage
from moldau.core.metadata.loader import Loader, dump
from moldau.core.metadata.topics import DoomedTopic
from moldau.core.protocol.stored.metadata import (
    AbortTransactionRecord,
    BeginTransactionRecord,
    EndTransactionRecord,
    FeatureLevelRecord,
)
from tests.support.images import EMPTY, created, replayed, with_brokers

LEVEL = FeatureLevelRecord(name="group.version", feature_level=1)


def load(*batches: list[object]) -> Loader:
    loader = Loader(EMPTY)
    for offset, batch in enumerate(batches):
        loader.replay(batch, offset, 3, 100 - offset)
    return loader


def test_an_image_knows_how_far_it_goes() -> None:
    image = load([LEVEL], []).image()
    assert (image.offset, image.epoch, image.timestamp_ms) == (1, 3, 100)
    assert image.features == {"group.version": 1}


def test_records_of_a_transaction_wait_for_its_end() -> None:
    open_one = load([BeginTransactionRecord(), LEVEL])
    assert open_one.in_transaction
    assert open_one.image().features == {}
    ended = load([BeginTransactionRecord(), LEVEL], [EndTransactionRecord()])
    assert not ended.in_transaction
    assert ended.image().features == {"group.version": 1}
    aborted = load([BeginTransactionRecord(), LEVEL], [AbortTransactionRecord()])
    assert not aborted.in_transaction
    assert aborted.image().features == {}


def test_something_else_is_corrupt() -> None:
    with pytest.raises(CorruptData, match="NewTopic"):
        load([NewTopic("a")])


def same(one: ClusterImage, other: ClusterImage) -> bool:
    areas = ("brokers", "topics_by_id", "topics_by_name", "similar_names", "configs", "features", "next_producer_id")
    return all(getattr(one, area) == getattr(other, area) for area in areas)


@settings(max_examples=60)
@given(st.data())
def test_topics_come_and_go_as_a_simple_model_says_and_any_dump_makes_the_same(data: st.DataObject) -> None:
    image = with_brokers((1, 2))
    model: dict[str, tuple[int, int]] = {}
    epochs: dict[str, int] = {}
    names = st.sampled_from(["a", "b", "c.d", "c_d", "c-d"])
    for _ in range(data.draw(st.integers(1, 12))):
        action = data.draw(st.sampled_from(["create", "delete", "restart"]))
        if action == "create":
            name, count, factor = data.draw(names), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 2))
            image, _ = created(image, NewTopic(name, count, factor, configs=[("retention.ms", str(count))]))
            alike = {"c.d": "c_d", "c_d": "c.d"}.get(name)
            if name not in model and alike not in model:
                model[name], epochs[name] = (count, factor), 0
        elif action == "delete":
            name = data.draw(names)
            image = replayed(image, topics.decide_deletion(image, [DoomedTopic(name)]).records)
            model.pop(name, None)
            epochs.pop(name, None)
        else:
            for claim in brokers.decide_claims(image, 1):
                image = replayed(image, claim.records)
        found = {
            name: (len(topic.partitions), len(topic.partitions[0].replicas))
            for name, topic in image.topics_by_name.items()
        }
        assert found == model
        assert {topic.id for topic in image.topics_by_name.values()} == set(image.topics_by_id)
        assert {name for _, name in image.configs} == set(model)
        assert same(replayed(EMPTY, list(dump(image))), image)
