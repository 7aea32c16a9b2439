"""CreateTopics' rules, with the words that Apache Kafka 4.3.1 was seen to use."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.metadata.creation import Created, Defaults, NewTopic, decide_creation
from moldau.core.metadata.image import UNASSIGNED_DIRECTORY
from moldau.core.protocol.stored.metadata import FenceBrokerRecord
from tests.support.images import DIRECTORY, EMPTY, Random, created, registration, replayed, with_brokers, with_topics

IMAGE = with_topics(NewTopic("old", 1), NewTopic("a.b", 1))


def refusal(topic: NewTopic) -> tuple[ErrorCode, str | None]:
    decision = decide_creation(IMAGE, [topic], Defaults(), Random())
    assert decision.records == []
    answer = decision.answer[topic.name]
    assert isinstance(answer, Refusal)
    return answer


def test_a_topic_with_defaults() -> None:
    image, answers = created(with_brokers(), NewTopic("new"), defaults=Defaults(3, 1))
    answer = answers["new"]
    assert isinstance(answer, Created)
    assert (answer.num_partitions, answer.replication_factor, answer.configs) == (3, 1, {})
    topic = image.topics_by_name["new"]
    assert topic.id == answer.id
    for partition in topic.partitions:
        assert (partition.leader, partition.leader_epoch, partition.partition_epoch) == (1, 0, 0)
        assert (partition.replicas, partition.isr, partition.directories) == ((1,), (1,), (DIRECTORY,))


def test_ids_are_version_4_uuids_and_differ() -> None:
    image, _ = created(with_brokers(), NewTopic("p"), NewTopic("q"))
    ids = [topic.id for topic in image.topics_by_name.values()]
    assert len(set(ids)) == 2
    assert all(id[6] >> 4 == 4 for id in ids)


def test_settings_are_kept_as_given_and_the_last_of_one_key_counts() -> None:
    image, answers = created(
        with_brokers(), NewTopic("t", configs=[("retention.ms", "5"), ("retention.ms", " 7 "), ("flush.messages", "1")])
    )
    assert image.config(2, "t") == {"retention.ms": " 7 ", "flush.messages": "1"}
    answer = answers["t"]
    assert isinstance(answer, Created)
    assert answer.configs == image.config(2, "t")


@pytest.mark.parametrize(
    ("topic", "code", "text"),
    [
        (NewTopic("old"), 36, "Topic 'old' already exists."),
        (NewTopic("a_b"), 17, "Topic 'a_b' collides with existing topic: a.b"),
        (NewTopic(""), 17, "Topic name is invalid: the empty string is not allowed"),
        (NewTopic("__cluster_metadata"), 42, "Creation of internal topic __cluster_metadata is prohibited."),
        (NewTopic("z", 0, 1), 37, "Number of partitions was set to an invalid non-positive value."),
        (NewTopic("z", -2, 1), 37, "Number of partitions was set to an invalid non-positive value."),
        (NewTopic("z", 1, 0), 38, "Replication factor must be larger than 0, or -1 to use the default value."),
        (NewTopic("z", 0, 0), 38, "Replication factor must be larger than 0, or -1 to use the default value."),
        (
            NewTopic("z", 1, 2),
            38,
            "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because "
            "only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
        (NewTopic("z", 10_001), 44, "Excessively large number of partitions per request."),
        (NewTopic("z", configs=[("foo", "1")]), 40, "Unknown topic config name: foo"),
        (
            NewTopic("z", configs=[("retention.ms", "x")]),
            40,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            NewTopic("z", configs=[("retention.ms", None)]),
            40,
            "Null value not supported for topic configs: retention.ms",
        ),
    ],
)
def test_refusals(topic: NewTopic, code: int, text: str) -> None:
    assert refusal(topic) == (code, text)


@pytest.mark.parametrize(
    ("assignments", "text"),
    [
        ([(0, [1]), (2, [1])], "partitions should be a consecutive 0-based integer sequence"),
        ([(1, [1])], "partitions should be a consecutive 0-based integer sequence"),
        ([(-1, [1])], "partitions should be a consecutive 0-based integer sequence"),
        ([(0, [1]), (0, [1])], "Found multiple manual partition assignments for partition 0"),
        ([(0, [])], "The manual partition assignment includes an empty replica list."),
        ([(0, [1, 1])], "The manual partition assignment includes the broker 1 more than once."),
        ([(0, [9])], "The manual partition assignment includes broker 9, but no such broker is registered."),
    ],
)
def test_refused_assignments(assignments: list[tuple[int, list[int]]], text: str) -> None:
    assert refusal(NewTopic("z", assignments=assignments)) == (ErrorCode.INVALID_REPLICA_ASSIGNMENT, text)


@pytest.mark.parametrize(
    ("partitions", "factor", "what"),
    [(1, -1, "numPartitions"), (-1, 1, "replication factor"), (2, 1, "replication factor")],
)
def test_assignments_and_counts_exclude_each_other(partitions: int, factor: int, what: str) -> None:
    text = f"A manual partition assignment was specified, but {what} was not set to -1."
    assert refusal(NewTopic("z", partitions, factor, [(0, [1])])) == (ErrorCode.INVALID_REQUEST, text)


def test_an_assignment_is_followed() -> None:
    image, _ = created(with_brokers((1, 2)), NewTopic("m", assignments=[(1, [2, 1]), (0, [1, 2])]))
    assert [partition.replicas for partition in image.topics_by_name["m"].partitions] == [(1, 2), (2, 1)]
    assert [partition.leader for partition in image.topics_by_name["m"].partitions] == [1, 2]


def test_uneven_and_fenced_assignments() -> None:
    image = with_brokers((1, 2))
    image = replayed(image, [FenceBrokerRecord(id=2, epoch=image.brokers[2].epoch)])
    answers = decide_creation(
        image,
        [NewTopic("u", assignments=[(0, [1]), (1, [1, 2])]), NewTopic("f", assignments=[(0, [2])])],
        Defaults(),
        Random(),
    ).answer
    assert answers["u"] == Refusal(
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with "
        "previous partitions, which have 1 replica(s).",
    )
    assert answers["f"] == Refusal(
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        "All brokers specified in the manual partition assignment for partition 0 "
        "are fenced or in controlled shutdown.",
    )
    in_part, _ = created(image, NewTopic("p", assignments=[(0, [2, 1])]))
    assert in_part.topics_by_name["p"].partitions[0].isr == (1,)
    assert in_part.topics_by_name["p"].partitions[0].leader == 1


def test_duplicates_are_answered_once_and_others_go_on() -> None:
    image, answers = created(with_brokers(), NewTopic("d"), NewTopic("ok"), NewTopic("d"))
    assert answers["d"] == Refusal(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
    assert isinstance(answers["ok"], Created)
    assert list(answers) == ["d", "ok"]
    assert list(image.topics_by_name) == ["ok"]


def test_the_bound_counts_the_whole_request() -> None:
    image, answers = created(with_brokers(), NewTopic("b1", 6000), NewTopic("b2", 6000))
    assert {answer.code for answer in answers.values() if isinstance(answer, Refusal)} == {ErrorCode.POLICY_VIOLATION}
    assert image.topics_by_name == {}


def test_similar_names_of_one_request_do_not_collide() -> None:
    """As in Apache Kafka, which looks at what exists only."""
    _, answers = created(with_brokers(), NewTopic("q.r"), NewTopic("q_r"))
    assert all(isinstance(answer, Created) for answer in answers.values())


def test_without_brokers_nothing_can_be_placed() -> None:
    answer = decide_creation(EMPTY, [NewTopic("t")], Defaults(), Random()).answer["t"]
    assert isinstance(answer, Refusal)
    assert answer.code == ErrorCode.INVALID_REPLICATION_FACTOR


def test_a_broker_with_several_directories_chooses_later() -> None:
    from moldau.core.metadata.brokers import decide_registration

    many = registration(directories=(b"x" * 16, b"y" * 16))
    image, _ = created(replayed(EMPTY, decide_registration(many, 0).records), NewTopic("t"))
    assert image.topics_by_name["t"].partitions[0].directories == (UNASSIGNED_DIRECTORY,)
