"""The cluster as it is at one offset of `__cluster_metadata`: immutable, shared, compared by `is`.

Every change makes a new `ClusterImage` that shares what did not change with the old one (`draft.py`
makes them). Nothing here decides, reads a log or knows a record type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from moldau.core.base.ids import ZERO_UUID

NO_LEADER = -1

# Directory ids with a meaning of their own (KIP-858): replicas whose directory is not known, lost, or being moved.
UNASSIGNED_DIRECTORY = bytes(16)
RESERVED_DIRECTORIES = 100


class ResourceType(IntEnum):
    """What a configuration belongs to; Kafka's numbers."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


# A whole cluster's broker settings hang on the broker resource with this name.
CLUSTER_DEFAULT = ""

ConfigResource = tuple[int, str]

NO_SETTINGS: Mapping[str, str] = {}


class PartitionImage(NamedTuple):
    """One partition. Tuples rather than lists, so that images can share it."""

    leader: int
    leader_epoch: int
    partition_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    directories: tuple[bytes, ...] = ()
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()
    eligible: tuple[int, ...] = ()
    last_known_eligible: tuple[int, ...] = ()
    recovery_state: int = 0


class TopicImage(NamedTuple):
    """One topic; `partitions[i]` is partition i."""

    name: str
    id: bytes
    partitions: tuple[PartitionImage, ...]


class EndpointImage(NamedTuple):
    """Where a broker or controller listens, under a listener's name. `security_protocol` is Kafka's number."""

    name: str
    host: str
    port: int
    security_protocol: int


class FeatureRange(NamedTuple):
    """The levels of one feature that a node understands."""

    lowest: int
    highest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerImage:
    """One registered broker. `epoch` is the offset of its registration."""

    id: int
    epoch: int
    incarnation_id: bytes = ZERO_UUID
    endpoints: Mapping[str, EndpointImage] = field(default_factory=dict)
    features: Mapping[str, FeatureRange] = field(default_factory=dict)
    rack: str | None = None
    fenced: bool = True
    in_controlled_shutdown: bool = False
    directories: tuple[bytes, ...] = ()
    cordoned: tuple[bytes, ...] | None = None

    @property
    def live(self) -> bool:
        """Whether it may lead partitions."""
        return not self.fenced and not self.in_controlled_shutdown


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterImage:
    """Everything the metadata log said up to and including `offset` (-1: nothing yet).

    `configs` holds what was set, by (`ResourceType`, resource name); a resource without settings is absent.
    `similar_names` maps a topic name with every '.' written '_' to the names behind it, for topics that have
    either letter. `kept` holds records of features that this release does not serve, so that a snapshot
    gives them back (`kept.py`).
    """

    cluster_id: str = ""
    offset: int = -1
    epoch: int = 0
    timestamp_ms: int = 0
    brokers: Mapping[int, BrokerImage] = field(default_factory=dict)
    topics_by_name: Mapping[str, TopicImage] = field(default_factory=dict)
    topics_by_id: Mapping[bytes, TopicImage] = field(default_factory=dict)
    similar_names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    configs: Mapping[ConfigResource, Mapping[str, str]] = field(default_factory=dict)
    features: Mapping[str, int] = field(default_factory=dict)
    next_producer_id: int = 0
    kept: Mapping[tuple[object, ...], Any] = field(default_factory=dict)

    def partition(self, topic: str, index: int) -> PartitionImage | None:
        """The partition, or None where there is no such topic or index."""
        found = self.topics_by_name.get(topic)
        if found is None or not 0 <= index < len(found.partitions):
            return None
        return found.partitions[index]

    def config(self, resource_type: int, name: str) -> Mapping[str, str]:
        """What was set on a resource; empty for one that nothing was set on."""
        return self.configs.get((resource_type, name), NO_SETTINGS)

    def live_brokers(self) -> list[BrokerImage]:
        """Brokers that may lead, by id."""
        return [self.brokers[id] for id in sorted(self.brokers) if self.brokers[id].live]
