"""A working copy of a `ClusterImage`: takes changes, then freezes into the next image.

Maps are copied at their first change only, and a topic's partitions become a list while it is being
changed, so a batch of records costs what it touches. Only the replay functions of the area modules
(`topics.py`, `brokers.py`, ...) change a draft; a draft is used once, by one caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from moldau.core.base.errors import CorruptData
from moldau.core.metadata.image import BrokerImage, ClusterImage, ConfigResource, PartitionImage, TopicImage

K = TypeVar("K")
V = TypeVar("V")


class Overlay(Generic[K, V]):
    """A mapping that is copied when it is first written to."""

    __slots__ = ("_base", "_copy")

    def __init__(self, base: Mapping[K, V]) -> None:
        self._base = base
        self._copy: dict[K, V] | None = None

    def get(self, key: K) -> V | None:
        return (self._base if self._copy is None else self._copy).get(key)

    def __setitem__(self, key: K, value: V) -> None:
        if self._copy is None:
            self._copy = dict(self._base)
        self._copy[key] = value

    def discard(self, key: K) -> V | None:
        """Take `key` out; returns what it held, None if it was not there."""
        if self._copy is None:
            if key not in self._base:
                return None
            self._copy = dict(self._base)
        return self._copy.pop(key, None)

    def keys(self) -> Iterator[K]:
        return iter(list(self._base if self._copy is None else self._copy))

    def frozen(self) -> Mapping[K, V]:
        """The mapping as it is now; the base itself when nothing changed."""
        return self._base if self._copy is None else self._copy


class OpenTopic:
    """A topic that is being changed."""

    __slots__ = ("id", "name", "partitions")

    def __init__(self, name: str, id: bytes, partitions: list[PartitionImage | None]) -> None:
        self.name = name
        self.id = id
        self.partitions = partitions

    def close(self) -> TopicImage:
        """Raises CorruptData when a partition is missing."""
        partitions: list[PartitionImage] = []
        for index, partition in enumerate(self.partitions):
            if partition is None:
                raise CorruptData(f"metadata has no partition {index} of topic {self.name}, but later ones")
            partitions.append(partition)
        return TopicImage(self.name, self.id, tuple(partitions))


class ImageDraft:
    """The next image in the making."""

    __slots__ = (
        "_base",
        "_names",
        "_open",
        "_topics",
        "brokers",
        "cluster_id",
        "configs",
        "features",
        "kept",
        "next_producer_id",
        "similar_names",
    )

    def __init__(self, base: ClusterImage) -> None:
        self._base = base
        self._names: Overlay[str, TopicImage] = Overlay(base.topics_by_name)
        self._topics: Overlay[bytes, TopicImage] = Overlay(base.topics_by_id)
        self._open: dict[bytes, OpenTopic] = {}
        self.cluster_id = base.cluster_id
        self.brokers: Overlay[int, BrokerImage] = Overlay(base.brokers)
        self.similar_names: Overlay[str, frozenset[str]] = Overlay(base.similar_names)
        self.configs: Overlay[ConfigResource, Mapping[str, str]] = Overlay(base.configs)
        self.features: Overlay[str, int] = Overlay(base.features)
        self.kept: Overlay[tuple[object, ...], Any] = Overlay(base.kept)
        self.next_producer_id = base.next_producer_id

    def add_topic(self, name: str, id: bytes) -> None:
        """A topic without partitions yet. Raises CorruptData if its id is taken."""
        if id in self._open or self._topics.get(id) is not None:
            raise CorruptData(f"metadata makes topic {name} with an id that is taken")
        self._open[id] = OpenTopic(name, id, [])

    def topic(self, id: bytes) -> OpenTopic:
        """The topic, open for changes. Raises CorruptData for one that is not there."""
        topic = self._open.get(id)
        if topic is None:
            closed = self._topics.get(id)
            if closed is None:
                raise CorruptData(f"metadata changes a topic that is not there: {id.hex()}")
            topic = self._open[id] = OpenTopic(closed.name, id, list(closed.partitions))
        return topic

    def topic_ids(self) -> list[bytes]:
        """Every topic there is by now."""
        return [*self._topics.keys(), *(id for id in self._open if self._topics.get(id) is None)]

    def remove_topic(self, id: bytes) -> str:
        """Forget a topic; returns its name. Raises CorruptData for one that is not there."""
        name = self.topic(id).name
        del self._open[id]
        self._topics.discard(id)
        current = self._names.get(name)
        if current is not None and current.id == id:
            self._names.discard(name)
        return name

    def freeze(self, offset: int, epoch: int, timestamp_ms: int) -> ClusterImage:
        """The image as of `offset`, the last one whose record went in. The draft is used up."""
        for topic in self._open.values():
            closed = topic.close()
            self._topics[closed.id] = closed
            self._names[closed.name] = closed
        self._open = {}
        return ClusterImage(
            cluster_id=self.cluster_id,
            offset=offset,
            epoch=epoch,
            timestamp_ms=timestamp_ms,
            brokers=self.brokers.frozen(),
            topics_by_name=self._names.frozen(),
            topics_by_id=self._topics.frozen(),
            similar_names=self.similar_names.frozen(),
            configs=self.configs.frozen(),
            features=self.features.frozen(),
            next_producer_id=self.next_producer_id,
            kept=self.kept.frozen(),
        )
