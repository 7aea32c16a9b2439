"""The partitions this broker hosts, kept as the committed metadata says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from moldau.core.base.errors import ErrorCode
from moldau.core.log.config import LogConfig
from moldau.core.log.directory import LogDirectory
from moldau.core.replication.partition import Partition

if TYPE_CHECKING:
    from moldau.core.metadata.image import ClusterImage, TopicImage

log = logging.getLogger("moldau.replication")

INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})

# No broker of ours leads the partition: a gap in a topic's list.
Hosted = Partition | None


class Replicas:
    """Look-up by name or id costs one dictionary access: a topic's partitions are a list."""

    __slots__ = ("_config_of", "_directory", "by_id", "by_name", "node_id", "now_ms", "on_led", "on_lost")

    def __init__(
        self, node_id: int, directory: LogDirectory, config_of: Callable[[ClusterImage, str], LogConfig]
    ) -> None:
        self.node_id = node_id
        self._directory = directory
        self._config_of = config_of
        self.by_name: dict[str, list[Hosted]] = {}
        self.by_id: dict[bytes, list[Hosted]] = {}
        self.now_ms = 0  # as of the last tick: coarse, and free on the hot path
        self.on_led: Callable[[Partition], None] | None = None
        self.on_lost: Callable[[Partition], None] | None = None

    def get(self, topic: str, index: int) -> Partition | None:
        """The partition, if this broker hosts it."""
        partitions = self.by_name.get(topic)
        if partitions is None or not 0 <= index < len(partitions):
            return None
        return partitions[index]

    def all(self) -> list[Partition]:
        """Every hosted partition."""
        return [partition for partitions in self.by_name.values() for partition in partitions if partition is not None]

    def apply(self, image: ClusterImage, before: ClusterImage | None) -> None:
        """Bring what is hosted in line with a newly committed image."""
        old = before.topics_by_id if before is not None else {}
        for topic_id, gone in old.items():
            if topic_id not in image.topics_by_id:
                self._remove(gone)
        for topic_id, topic in image.topics_by_id.items():
            if old.get(topic_id) is not topic:
                self._update(image, topic)

    @property
    def waiting(self) -> bool:
        """Some answer waits for its records to be written or committed."""
        return any(partition.waiting for partition in self.all())

    def tick(self, now_ms: int) -> None:
        """Expire waiting answers."""
        self.now_ms = now_ms
        for partitions in self.by_name.values():
            for partition in partitions:
                if partition is not None:
                    partition.expire(now_ms)

    def close(self, code: ErrorCode) -> None:
        """Everyone who waits for any partition is told `code`."""
        for partition in self.all():
            partition.close(code)

    def _update(self, image: ClusterImage, topic: TopicImage) -> None:
        hosted = self.by_name.get(topic.name)
        if hosted is None or self.by_id.get(topic.id) is not hosted:
            hosted = []
            self.by_name[topic.name] = hosted
            self.by_id[topic.id] = hosted
        for index, state in enumerate(topic.partitions):
            if index == len(hosted):
                hosted.append(None)
            partition = hosted[index]
            if state.leader != self.node_id:
                continue
            if partition is None:
                hosted[index] = self._host(image, topic, index, state.leader_epoch)
            else:
                partition.leader_epoch = state.leader_epoch

    def _host(self, image: ClusterImage, topic: TopicImage, index: int, leader_epoch: int) -> Partition:
        config = self._config_of(image, topic.name)
        directory = self._directory
        existing = directory.logs.get((topic.name, index))
        if existing is not None and existing.topic_id not in (topic.id, bytes(16)):
            log.warning("%s-%d on the disk belongs to an older topic of that name: deleting it", topic.name, index)
            self._delete(topic.name, index)
            existing = None
        if existing is None:
            existing = directory.create_log(topic.name, index, topic.id, config)
        else:
            existing.topic_id = topic.id  # it may have had none: a crash can take the file that keeps it
            existing.reconfigure(config)
        partition = Partition(existing, leader_epoch, internal=topic.name in INTERNAL_TOPICS)
        if self.on_led is not None:
            self.on_led(partition)
        return partition

    def _remove(self, topic: TopicImage) -> None:
        hosted = self.by_id.pop(topic.id, [])
        if self.by_name.get(topic.name) is hosted:
            del self.by_name[topic.name]
        for partition in hosted:
            if partition is None:
                continue
            partition.close(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            if self.on_lost is not None:
                self.on_lost(partition)
            self._delete(topic.name, partition.index)

    def _delete(self, topic: str, index: int) -> None:
        """A directory that cannot be renamed is as good as lost: what comes next under its name would mix with it."""
        try:
            self._directory.delete_log(topic, index)
        except OSError as error:
            self._directory.fail(f"{topic}-{index} cannot be deleted: {error}")
