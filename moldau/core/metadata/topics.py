"""Topics and partitions: deletion, and the only code that changes them by replaying records. Pure.

How a new topic is checked and placed is `creation.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from moldau.core.base.errors import CorruptData, ErrorCode, Refusal
from moldau.core.base.ids import ZERO_UUID
from moldau.core.metadata.decision import Decision, Record
from moldau.core.metadata.draft import ImageDraft, OpenTopic
from moldau.core.metadata.image import UNASSIGNED_DIRECTORY, ClusterImage, PartitionImage, ResourceType, TopicImage
from moldau.core.metadata.names import similar_form
from moldau.core.protocol.stored.metadata import (
    ClearElrRecord,
    PartitionChangeRecord,
    PartitionRecord,
    RemoveTopicRecord,
    TopicRecord,
)

# Records of one request: Kafka's bound on what takes effect at once.
OPERATIONS_MAX = 10_000

_LEADER_STAYS = -2
_STATE_STAYS = -1


class DoomedTopic(NamedTuple):
    """Which topic to delete: by name, or by id where the name is None."""

    name: str | None
    id: bytes = ZERO_UUID


class Deletion(NamedTuple):
    """What became of one entry: a name and id as far as they are known, and the refusal, if any."""

    name: str | None
    id: bytes
    refusal: Refusal | None


def decide_deletion(image: ClusterImage, doomed: Sequence[DoomedTopic]) -> Decision[list[Deletion]]:
    """Delete topics; every name or id that was asked for is answered once."""
    answers, wanted = _distinct(doomed)
    by_id: dict[bytes, int] = {}
    found: list[TopicImage | None] = []
    for entry in wanted:
        topic = image.topics_by_id.get(entry.id) if entry.name is None else image.topics_by_name.get(entry.name)
        found.append(topic)
        if topic is not None:
            by_id[topic.id] = by_id.get(topic.id, 0) + 1
    records: list[Record] = []
    for entry, topic in zip(wanted, found, strict=True):
        if topic is None:
            answers.append(Deletion(entry.name, entry.id, _unknown(entry)))
        elif by_id[topic.id] == 1:
            records.append(RemoveTopicRecord(topic_id=topic.id))
            answers.append(Deletion(topic.name, topic.id, None))
        elif by_id[topic.id] > 1:
            by_id[topic.id] = 0
            text = "The provided topic name maps to an ID that was already supplied."
            answers.append(Deletion(topic.name, topic.id, Refusal(ErrorCode.INVALID_REQUEST, text)))
    return Decision(records, answers)


def _distinct(doomed: Sequence[DoomedTopic]) -> tuple[list[Deletion], list[DoomedTopic]]:
    """The refusals of entries that cannot be, and the entries that stand once."""
    refused: dict[DoomedTopic, str] = {}
    seen: dict[DoomedTopic, None] = {}
    for entry in doomed:
        if entry.name is not None and entry.id != ZERO_UUID:
            refused[entry] = "You may not specify both topic name and topic id."
        elif entry.name is None and entry.id == ZERO_UUID:
            refused[entry] = "Neither topic name nor id were specified."
        elif entry in seen:
            refused[entry] = "Duplicate topic name." if entry.name is not None else "Duplicate topic id."
        else:
            seen[entry] = None
    answers = [
        Deletion(entry.name, entry.id, Refusal(ErrorCode.INVALID_REQUEST, text)) for entry, text in refused.items()
    ]
    return answers, [entry for entry in seen if entry not in refused]


def _unknown(entry: DoomedTopic) -> Refusal:
    if entry.name is None:
        return Refusal(ErrorCode.UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
    return Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")


def _replay_topic(draft: ImageDraft, record: TopicRecord) -> None:
    draft.add_topic(record.name, record.topic_id)
    form = similar_form(record.name)
    if form is not None:
        draft.similar_names[form] = (draft.similar_names.get(form) or frozenset()) | {record.name}


def _replay_partition(draft: ImageDraft, record: PartitionRecord) -> None:
    partitions = draft.topic(record.topic_id).partitions
    index = record.partition_id
    if not 0 <= index < OPERATIONS_MAX + len(partitions):
        raise CorruptData(f"metadata makes partition {index} of a topic with {len(partitions)}")
    if index >= len(partitions):
        partitions.extend([None] * (index + 1 - len(partitions)))
    directories = record.directories or [UNASSIGNED_DIRECTORY] * len(record.replicas)
    partitions[index] = PartitionImage(
        record.leader,
        record.leader_epoch,
        record.partition_epoch,
        tuple(record.replicas),
        tuple(record.isr),
        tuple(directories),
        tuple(record.adding_replicas),
        tuple(record.removing_replicas),
        tuple(record.eligible_leader_replicas or ()),
        tuple(record.last_known_elr or ()),
        record.leader_recovery_state,
    )


def _open_partition(topic: OpenTopic, index: int) -> PartitionImage:
    partition = topic.partitions[index] if 0 <= index < len(topic.partitions) else None
    if partition is None:
        raise CorruptData(f"metadata changes partition {index} of topic {topic.name}, which it never made")
    return partition


def _replay_change(draft: ImageDraft, record: PartitionChangeRecord) -> None:
    topic = draft.topic(record.topic_id)
    old = _open_partition(topic, record.partition_id)
    led = record.leader != _LEADER_STAYS
    topic.partitions[record.partition_id] = PartitionImage(
        record.leader if led else old.leader,
        old.leader_epoch + led,
        old.partition_epoch + 1,
        old.replicas if record.replicas is None else tuple(record.replicas),
        old.isr if record.isr is None else tuple(record.isr),
        old.directories if record.directories is None else tuple(record.directories),
        old.adding if record.adding_replicas is None else tuple(record.adding_replicas),
        old.removing if record.removing_replicas is None else tuple(record.removing_replicas),
        old.eligible if record.eligible_leader_replicas is None else tuple(record.eligible_leader_replicas),
        old.last_known_eligible if record.last_known_elr is None else tuple(record.last_known_elr),
        old.recovery_state if record.leader_recovery_state == _STATE_STAYS else record.leader_recovery_state,
    )


def _replay_removal(draft: ImageDraft, record: RemoveTopicRecord) -> None:
    name = draft.remove_topic(record.topic_id)
    draft.configs.discard((ResourceType.TOPIC, name))
    form = similar_form(name)
    if form is None:
        return
    left = (draft.similar_names.get(form) or frozenset()) - {name}
    if left:
        draft.similar_names[form] = left
    else:
        draft.similar_names.discard(form)


def _replay_clear(draft: ImageDraft, record: ClearElrRecord) -> None:
    """An empty name means every topic."""
    for id in draft.topic_ids():
        topic = draft.topic(id)
        if record.topic_name and topic.name != record.topic_name:
            continue
        for index, partition in enumerate(topic.partitions):
            if partition is not None and (partition.eligible or partition.last_known_eligible):
                topic.partitions[index] = partition._replace(
                    partition_epoch=partition.partition_epoch + 1, eligible=(), last_known_eligible=()
                )


REPLAY: dict[type, Callable[[ImageDraft, Any], None]] = {
    TopicRecord: _replay_topic,
    PartitionRecord: _replay_partition,
    PartitionChangeRecord: _replay_change,
    RemoveTopicRecord: _replay_removal,
    ClearElrRecord: _replay_clear,
}


def dump(image: ClusterImage) -> Iterator[Record]:
    """Records that make the image's topics again."""
    for topic in image.topics_by_id.values():
        yield TopicRecord(name=topic.name, topic_id=topic.id)
        for index, partition in enumerate(topic.partitions):
            yield PartitionRecord(
                partition_id=index,
                topic_id=topic.id,
                replicas=list(partition.replicas),
                isr=list(partition.isr),
                removing_replicas=list(partition.removing),
                adding_replicas=list(partition.adding),
                leader=partition.leader,
                leader_recovery_state=partition.recovery_state,
                leader_epoch=partition.leader_epoch,
                partition_epoch=partition.partition_epoch,
                directories=list(partition.directories),
                eligible_leader_replicas=list(partition.eligible) or None,
                last_known_elr=list(partition.last_known_eligible) or None,
            )
