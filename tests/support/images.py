"""Cluster images for tests, made the only way images are made: by replaying records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from moldau.core.metadata import brokers, creation
from moldau.core.metadata.brokers import Registration
from moldau.core.metadata.creation import Answers, Defaults, NewTopic
from moldau.core.metadata.decision import Record
from moldau.core.metadata.features import SUPPORTED
from moldau.core.metadata.image import ClusterImage, EndpointImage
from moldau.core.metadata.loader import Loader

DIRECTORY = bytes(range(16))
EMPTY = ClusterImage(cluster_id="AAAAAAAAQACAAAAAAAAAAQ")


class Random:
    """Random bytes that are not: every call gives other ones, the same in every run."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        return self._calls.to_bytes(size, "big")


def replayed(image: ClusterImage, records: Sequence[Record]) -> ClusterImage:
    """The image after a batch of these records."""
    loader = Loader(image)
    loader.replay(records, image.offset + max(1, len(records)), 1, 1000)
    return loader.image()


def registration(broker_id: int = 1, directories: tuple[bytes, ...] = (DIRECTORY,)) -> Registration:
    """A broker on localhost."""
    endpoint = EndpointImage("PLAINTEXT", "localhost", 9092, 0)
    return Registration(broker_id, bytes([broker_id] * 16), (endpoint,), SUPPORTED, directories)


def with_brokers(ids: Iterable[int] = (1,), image: ClusterImage = EMPTY) -> ClusterImage:
    """An image with live brokers."""
    for broker_id in ids:
        image = replayed(image, brokers.decide_registration(registration(broker_id), image.offset + 1).records)
    return image


def created(
    image: ClusterImage, *topics: NewTopic, defaults: Defaults | None = None, random: Random | None = None
) -> tuple[ClusterImage, Answers]:
    """The image with these topics, and what CreateTopics answered."""
    random = random or Random()
    random._calls = max(random._calls, 1000 + image.offset)
    decision = creation.decide_creation(image, topics, defaults or Defaults(), random)
    return replayed(image, decision.records), decision.answer


def with_topics(*topics: NewTopic, image: ClusterImage | None = None) -> ClusterImage:
    """An image with these topics on broker 1."""
    return created(image or with_brokers(), *topics)[0]
