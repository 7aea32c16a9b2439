"""Brokers: registration, fencing, and who leads after one came back. Decides, and replays its records. Pure.

A broker's epoch is the offset of its registration, so it rises with every start. Fencing by missed heartbeats
comes with the second broker.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from moldau.core.base.errors import CorruptData
from moldau.core.metadata.decision import Decision
from moldau.core.metadata.draft import ImageDraft
from moldau.core.metadata.image import (
    NO_LEADER,
    BrokerImage,
    ClusterImage,
    EndpointImage,
    FeatureRange,
    PartitionImage,
)
from moldau.core.protocol.stored.metadata import (
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    FenceBrokerRecord,
    PartitionChangeRecord,
    RegisterBrokerRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
)

# Partition changes of one append: a batch stays far below every size limit, and the loop is not held for long.
CLAIM_CHUNK = 2000

_UNFENCED = -1
_FENCED = 1


class Registration(NamedTuple):
    """How a broker process introduces itself."""

    broker_id: int
    incarnation_id: bytes
    endpoints: tuple[EndpointImage, ...]
    features: Mapping[str, FeatureRange]
    directories: tuple[bytes, ...]
    rack: str | None = None


def decide_registration(registration: Registration, offset: int) -> Decision[int]:
    """Register and unfence; the answer is the broker's epoch. `offset` is the one the first record will get."""
    register = RegisterBrokerRecord(
        broker_id=registration.broker_id,
        incarnation_id=registration.incarnation_id,
        broker_epoch=offset,
        end_points=[
            BrokerEndpoint(
                name=endpoint.name,
                host=endpoint.host,
                port=endpoint.port,
                security_protocol=endpoint.security_protocol,
            )
            for endpoint in registration.endpoints
        ],
        features=[
            BrokerFeature(name=name, min_supported_version=levels.lowest, max_supported_version=levels.highest)
            for name, levels in registration.features.items()
        ],
        rack=registration.rack,
        fenced=True,
        log_dirs=list(registration.directories),
    )
    unfence = BrokerRegistrationChangeRecord(
        broker_id=registration.broker_id, broker_epoch=offset, fenced=_UNFENCED, cordoned_log_dirs=[]
    )
    return Decision([register, unfence], offset)


def decide_claims(image: ClusterImage, broker_id: int) -> Iterator[Decision[None]]:
    """What a broker leads after its start, in chunks.

    Every partition it led gets a higher leader epoch, because its log may have become shorter; a partition
    without a leader is led by it again if it is in sync or was the last to be (KIP-966).
    """
    records: list[Any] = []
    for topic in image.topics_by_id.values():
        for index, partition in enumerate(topic.partitions):
            change = _claim(topic.id, index, partition, broker_id)
            if change is None:
                continue
            records.append(change)
            if len(records) == CLAIM_CHUNK:
                yield Decision(records, None)
                records = []
    if records:
        yield Decision(records, None)


def _claim(topic_id: bytes, index: int, partition: PartitionImage, broker_id: int) -> PartitionChangeRecord | None:
    if partition.leader == broker_id:
        return PartitionChangeRecord(partition_id=index, topic_id=topic_id, leader=broker_id)
    if partition.leader != NO_LEADER:
        return None
    change = PartitionChangeRecord(partition_id=index, topic_id=topic_id, leader=broker_id)
    if broker_id in partition.isr:
        return change
    if broker_id in partition.eligible or partition.last_known_eligible == (broker_id,):
        change.isr = [broker_id]
        change.eligible_leader_replicas = []
        change.last_known_elr = []
        return change
    return None


def _replay_register(draft: ImageDraft, record: RegisterBrokerRecord) -> None:
    draft.brokers[record.broker_id] = BrokerImage(
        id=record.broker_id,
        epoch=record.broker_epoch,
        incarnation_id=record.incarnation_id,
        endpoints={
            endpoint.name: EndpointImage(endpoint.name, endpoint.host, endpoint.port, endpoint.security_protocol)
            for endpoint in record.end_points
        },
        features={
            feature.name: FeatureRange(feature.min_supported_version, feature.max_supported_version)
            for feature in record.features
        },
        rack=record.rack,
        fenced=record.fenced,
        in_controlled_shutdown=record.in_controlled_shutdown,
        directories=tuple(record.log_dirs),
        cordoned=None if record.cordoned_log_dirs is None else tuple(record.cordoned_log_dirs),
    )


def _known(draft: ImageDraft, broker_id: int, epoch: int) -> BrokerImage:
    broker = draft.brokers.get(broker_id)
    if broker is None or broker.epoch != epoch:
        raise CorruptData(f"metadata changes broker {broker_id} in epoch {epoch}, which is not registered")
    return broker


def _replay_change(draft: ImageDraft, record: BrokerRegistrationChangeRecord) -> None:
    broker = _known(draft, record.broker_id, record.broker_epoch)
    changes: dict[str, Any] = {}
    if record.fenced:
        changes["fenced"] = record.fenced == _FENCED
    if record.in_controlled_shutdown:
        changes["in_controlled_shutdown"] = True
    if record.log_dirs:
        changes["directories"] = tuple(record.log_dirs)
    if record.cordoned_log_dirs is not None:
        changes["cordoned"] = tuple(record.cordoned_log_dirs)
    draft.brokers[broker.id] = dataclasses.replace(broker, **changes)


def _replay_fence(draft: ImageDraft, record: FenceBrokerRecord) -> None:
    draft.brokers[record.id] = dataclasses.replace(_known(draft, record.id, record.epoch), fenced=True)


def _replay_unfence(draft: ImageDraft, record: UnfenceBrokerRecord) -> None:
    draft.brokers[record.id] = dataclasses.replace(_known(draft, record.id, record.epoch), fenced=False)


def _replay_unregister(draft: ImageDraft, record: UnregisterBrokerRecord) -> None:
    draft.brokers.discard(_known(draft, record.broker_id, record.broker_epoch).id)


REPLAY: dict[type, Callable[[ImageDraft, Any], None]] = {
    RegisterBrokerRecord: _replay_register,
    BrokerRegistrationChangeRecord: _replay_change,
    FenceBrokerRecord: _replay_fence,
    UnfenceBrokerRecord: _replay_unfence,
    UnregisterBrokerRecord: _replay_unregister,
}


def dump(image: ClusterImage) -> Iterator[RegisterBrokerRecord]:
    """Records that make the image's brokers again."""
    for broker in image.brokers.values():
        yield RegisterBrokerRecord(
            broker_id=broker.id,
            incarnation_id=broker.incarnation_id,
            broker_epoch=broker.epoch,
            end_points=[BrokerEndpoint(*endpoint) for endpoint in broker.endpoints.values()],
            features=[BrokerFeature(name, *levels) for name, levels in broker.features.items()],
            rack=broker.rack,
            fenced=broker.fenced,
            in_controlled_shutdown=broker.in_controlled_shutdown,
            log_dirs=list(broker.directories),
            cordoned_log_dirs=None if broker.cordoned is None else list(broker.cordoned),
        )
