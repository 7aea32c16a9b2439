"""Topics: deletion as Kafka answers it, and the replay of topic and partition records."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData, ErrorCode, Refusal
from moldau.core.metadata import topics
from moldau.core.metadata.creation import NewTopic
from moldau.core.metadata.image import UNASSIGNED_DIRECTORY, ResourceType
from moldau.core.metadata.topics import Deletion, DoomedTopic
from moldau.core.protocol.stored.metadata import (
    ClearElrRecord,
    PartitionChangeRecord,
    PartitionRecord,
    RemoveTopicRecord,
    TopicRecord,
)
from tests.support.images import EMPTY, replayed, with_topics

IMAGE = with_topics(NewTopic("a", 2, configs=[("retention.ms", "1")]), NewTopic("x.y", 1), NewTopic("x-z", 1))
A = IMAGE.topics_by_name["a"].id
NOBODY = b"n" * 16
INVALID = ErrorCode.INVALID_REQUEST


def deletions(*doomed: DoomedTopic) -> dict[tuple[str | None, bytes], Refusal | None]:
    decision = topics.decide_deletion(IMAGE, doomed)
    return {(answer.name, answer.id): answer.refusal for answer in decision.answer}


def test_by_name_and_by_id() -> None:
    decision = topics.decide_deletion(IMAGE, [DoomedTopic("a"), DoomedTopic(None, IMAGE.topics_by_name["x.y"].id)])
    assert {(answer.name, answer.refusal) for answer in decision.answer} == {("a", None), ("x.y", None)}
    after = replayed(IMAGE, decision.records)
    assert list(after.topics_by_name) == ["x-z"]
    assert after.configs == {}
    assert after.similar_names == {}


def test_unknown_names_and_ids() -> None:
    assert deletions(DoomedTopic("b"), DoomedTopic(None, NOBODY)) == {
        ("b", bytes(16)): Refusal(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition."
        ),
        (None, NOBODY): Refusal(ErrorCode.UNKNOWN_TOPIC_ID, "This server does not host this topic ID."),
    }


def test_duplicates_are_answered_once_and_deleted_never() -> None:
    decision = topics.decide_deletion(
        IMAGE, [DoomedTopic("a"), DoomedTopic("a"), DoomedTopic(None, NOBODY), DoomedTopic(None, NOBODY)]
    )
    assert decision.records == []
    assert decision.answer == [
        Deletion("a", bytes(16), Refusal(INVALID, "Duplicate topic name.")),
        Deletion(None, NOBODY, Refusal(INVALID, "Duplicate topic id.")),
    ]


def test_a_name_and_its_id_in_one_request() -> None:
    decision = topics.decide_deletion(IMAGE, [DoomedTopic("a"), DoomedTopic(None, A)])
    assert decision.records == []
    text = "The provided topic name maps to an ID that was already supplied."
    assert decision.answer == [Deletion("a", A, Refusal(INVALID, text))]


def test_neither_and_both() -> None:
    assert deletions(DoomedTopic(None), DoomedTopic("a", A)) == {
        (None, bytes(16)): Refusal(INVALID, "Neither topic name nor id were specified."),
        ("a", A): Refusal(INVALID, "You may not specify both topic name and topic id."),
    }


def test_similar_names_outlive_one_of_them() -> None:
    image = replayed(EMPTY, [TopicRecord(name="p.q", topic_id=b"1" * 16), TopicRecord(name="p_q", topic_id=b"2" * 16)])
    assert image.similar_names == {"p_q": {"p.q", "p_q"}}
    assert replayed(image, [RemoveTopicRecord(topic_id=b"1" * 16)]).similar_names == {"p_q": {"p_q"}}


def test_a_change_without_a_leader_leaves_the_leader_epoch() -> None:
    image = replayed(IMAGE, [PartitionChangeRecord(partition_id=0, topic_id=A, isr=[], leader_recovery_state=1)])
    partition = image.topics_by_id[A].partitions[0]
    assert (partition.isr, partition.leader, partition.leader_epoch) == ((), 1, 0)
    assert (partition.partition_epoch, partition.recovery_state) == (1, 1)


def test_a_change_of_everything() -> None:
    change = PartitionChangeRecord(
        partition_id=1,
        topic_id=A,
        isr=[2],
        leader=2,
        replicas=[2, 3],
        removing_replicas=[3],
        adding_replicas=[4],
        directories=[b"x" * 16, b"y" * 16],
        eligible_leader_replicas=[3],
        last_known_elr=[1],
    )
    partition = replayed(IMAGE, [change]).topics_by_id[A].partitions[1]
    assert partition == (2, 1, 1, (2, 3), (2,), (b"x" * 16, b"y" * 16), (4,), (3,), (3,), (1,), 0)


def test_eligible_replicas_are_cleared_for_one_topic_or_all() -> None:
    other = IMAGE.topics_by_name["x-z"].id
    both = [PartitionChangeRecord(partition_id=0, topic_id=id, eligible_leader_replicas=[2]) for id in (A, other)]
    image = replayed(IMAGE, both)
    one = replayed(image, [ClearElrRecord(topic_name="a")])
    assert one.topics_by_id[A].partitions[0].eligible == ()
    assert one.topics_by_id[A].partitions[0].partition_epoch == 2
    assert one.topics_by_id[other].partitions[0].eligible == (2,)
    assert replayed(image, [ClearElrRecord()]).topics_by_id[other].partitions[0].eligible == ()


def test_an_old_partition_record_knows_no_directories() -> None:
    image = replayed(
        EMPTY,
        [
            TopicRecord(name="a", topic_id=A),
            PartitionRecord(partition_id=0, topic_id=A, replicas=[1, 2], isr=[1], leader=1),
        ],
    )
    assert image.topics_by_id[A].partitions[0].directories == (UNASSIGNED_DIRECTORY, UNASSIGNED_DIRECTORY)


def test_changes_of_partitions_that_never_were_are_corrupt() -> None:
    with pytest.raises(CorruptData, match="never made"):
        replayed(IMAGE, [PartitionChangeRecord(partition_id=2, topic_id=A)])
    with pytest.raises(CorruptData, match="makes partition"):
        replayed(IMAGE, [PartitionRecord(partition_id=1 << 30, topic_id=A)])


def test_a_dump_makes_the_topics_again() -> None:
    again = replayed(EMPTY, list(topics.dump(IMAGE)))
    assert again.topics_by_id == IMAGE.topics_by_id
    assert again.topics_by_name == IMAGE.topics_by_name
    assert again.similar_names == IMAGE.similar_names
    assert (ResourceType.TOPIC, "a") not in again.configs
