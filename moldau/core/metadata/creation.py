"""How a new topic is checked, completed with defaults and placed: CreateTopics' rules in Kafka's words. Pure.

The order of the checks is Kafka's, so that a topic that is wrong in two ways gets the error that Kafka gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.ids import random_uuid
from moldau.core.metadata import placement
from moldau.core.metadata.configs import topic_config_problem
from moldau.core.metadata.decision import Decision, Record
from moldau.core.metadata.image import UNASSIGNED_DIRECTORY, ClusterImage, ResourceType
from moldau.core.metadata.names import CLUSTER_METADATA, similar_form, topic_name_problem
from moldau.core.metadata.topics import OPERATIONS_MAX
from moldau.core.protocol.stored.metadata import ConfigRecord, PartitionRecord, TopicRecord

DEFAULT = -1


class NewTopic(NamedTuple):
    """A topic that is asked for. -1 asks for the broker's default; `assignments` are (partition, replicas)."""

    name: str
    num_partitions: int = DEFAULT
    replication_factor: int = DEFAULT
    assignments: Sequence[tuple[int, Sequence[int]]] = ()
    configs: Sequence[tuple[str, str | None]] = ()


class Created(NamedTuple):
    """A topic that was made, or would have been."""

    id: bytes
    num_partitions: int
    replication_factor: int
    configs: Mapping[str, str]


class Defaults(NamedTuple):
    """What -1 stands for."""

    num_partitions: int = 1
    replication_factor: int = 1


Answers = dict[str, Created | Refusal]

# The next `size` random bytes.
RandomBytes = Callable[[int], bytes]


def decide_creation(
    image: ClusterImage, topics: Sequence[NewTopic], defaults: Defaults, random: RandomBytes
) -> Decision[Answers]:
    """Create topics; each name is answered once, in the order asked. A refused one does not stop the others."""
    answers: Answers = {}
    wanted: list[NewTopic] = []
    counts: dict[str, int] = {}
    for topic in topics:
        counts[topic.name] = counts.get(topic.name, 0) + 1
    for topic in topics:
        if counts[topic.name] > 1:
            answers[topic.name] = Refusal(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
        elif topic.name == CLUSTER_METADATA:
            text = f"Creation of internal topic {CLUSTER_METADATA} is prohibited."
            answers[topic.name] = Refusal(ErrorCode.INVALID_REQUEST, text)
        else:
            wanted.append(topic)
    if sum(_partition_count(topic, defaults) for topic in wanted) > OPERATIONS_MAX:
        too_many = Refusal(ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request.")
        answers.update({topic.name: too_many for topic in wanted})
        wanted = []
    records: list[Record] = []
    for topic in wanted:
        made = _name_refusal(image, topic.name) or _create(image, topic, defaults, random)
        if isinstance(made, Refusal):
            answers[topic.name] = made
        else:
            answers[topic.name], new = made
            records += new
    return Decision(records, {topic.name: answers[topic.name] for topic in topics})


def _partition_count(topic: NewTopic, defaults: Defaults) -> int:
    if topic.assignments:
        return len(topic.assignments)
    return defaults.num_partitions if topic.num_partitions == DEFAULT else topic.num_partitions


def _name_refusal(image: ClusterImage, name: str) -> Refusal | None:
    problem = topic_name_problem(name)
    if problem is not None:
        return Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
    if name in image.topics_by_name:
        return Refusal(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
    form = similar_form(name)
    similar = image.similar_names.get(form) if form is not None else None
    if similar:
        text = f"Topic '{name}' collides with existing topic: {min(similar)}"
        return Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, text)
    return None


def _create(
    image: ClusterImage, topic: NewTopic, defaults: Defaults, random: RandomBytes
) -> tuple[Created, list[Record]] | Refusal:
    configs: dict[str, str] = {}
    for key, value in topic.configs:
        if value is None:
            return Refusal(ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {key}")
        configs[key] = value
    problem = topic_config_problem(configs)
    if problem is not None:
        return Refusal(ErrorCode.INVALID_CONFIG, problem)
    placed = _assigned(image, topic) if topic.assignments else _placed(image, topic, defaults, random)
    if isinstance(placed, Refusal):
        return placed
    id = random_uuid(random(16))
    records: list[Record] = [TopicRecord(name=topic.name, topic_id=id)]
    records += [
        ConfigRecord(resource_type=ResourceType.TOPIC, resource_name=topic.name, name=key, value=value)
        for key, value in configs.items()
    ]
    live = {broker.id for broker in image.live_brokers()}
    records += [_partition_record(image, id, index, replicas, live) for index, replicas in enumerate(placed)]
    return Created(id, len(placed), len(placed[0]), configs), records


def _placed(image: ClusterImage, topic: NewTopic, defaults: Defaults, random: RandomBytes) -> list[list[int]] | Refusal:
    if topic.replication_factor < DEFAULT or topic.replication_factor == 0:
        text = "Replication factor must be larger than 0, or -1 to use the default value."
        return Refusal(ErrorCode.INVALID_REPLICATION_FACTOR, text)
    if topic.num_partitions < DEFAULT or topic.num_partitions == 0:
        text = "Number of partitions was set to an invalid non-positive value."
        return Refusal(ErrorCode.INVALID_PARTITIONS, text)
    partitions = defaults.num_partitions if topic.num_partitions == DEFAULT else topic.num_partitions
    factor = defaults.replication_factor if topic.replication_factor == DEFAULT else topic.replication_factor
    start = int.from_bytes(random(4), "big")
    placed = placement.place(image.brokers.values(), partitions, factor, start)
    if isinstance(placed, Refusal):
        return Refusal(placed.code, f"Unable to replicate the partition {factor} time(s): {placed.message}")
    return placed


def _assigned(image: ClusterImage, topic: NewTopic) -> list[list[int]] | Refusal:
    """The replicas that the client chose, by partition."""
    specified = "A manual partition assignment was specified, but"
    if topic.replication_factor != DEFAULT:
        return Refusal(ErrorCode.INVALID_REQUEST, f"{specified} replication factor was not set to -1.")
    if topic.num_partitions != DEFAULT:
        return Refusal(ErrorCode.INVALID_REQUEST, f"{specified} numPartitions was not set to -1.")
    by_index: dict[int, list[int]] = {}
    for index, replicas in topic.assignments:
        if index in by_index:
            problem: str | None = f"Found multiple manual partition assignments for partition {index}"
        else:
            problem = _assignment_problem(image, index, replicas, next(iter(by_index.values()), None))
        if problem is not None:
            return Refusal(ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem)
        by_index[index] = list(replicas)
    if any(index not in by_index for index in range(len(by_index))):
        text = "partitions should be a consecutive 0-based integer sequence"
        return Refusal(ErrorCode.INVALID_REPLICA_ASSIGNMENT, text)
    return [by_index[index] for index in range(len(by_index))]


def _assignment_problem(
    image: ClusterImage, index: int, replicas: Sequence[int], other: Sequence[int] | None
) -> str | None:
    includes = "The manual partition assignment includes"
    if not replicas:
        return f"{includes} an empty replica list."
    previous: int | None = None
    for broker_id in sorted(replicas):
        if broker_id not in image.brokers:
            return f"{includes} broker {broker_id}, but no such broker is registered."
        if broker_id == previous:
            return f"{includes} the broker {broker_id} more than once."
        previous = broker_id
    if other is not None and len(replicas) != len(other):
        return (
            f"{includes} a partition with {len(replicas)} replica(s), but this is not consistent with previous "
            f"partitions, which have {len(other)} replica(s)."
        )
    if not any(image.brokers[broker_id].live for broker_id in replicas):
        return (
            f"All brokers specified in the manual partition assignment for partition {index} "
            "are fenced or in controlled shutdown."
        )
    return None


def _partition_record(
    image: ClusterImage, topic_id: bytes, index: int, replicas: list[int], live: set[int]
) -> PartitionRecord:
    isr = [broker_id for broker_id in replicas if broker_id in live]
    return PartitionRecord(
        partition_id=index,
        topic_id=topic_id,
        replicas=replicas,
        isr=isr,
        leader=isr[0],
        leader_epoch=0,
        partition_epoch=0,
        directories=[_directory(image, broker_id) for broker_id in replicas],
    )


def _directory(image: ClusterImage, broker_id: int) -> bytes:
    """Where a new replica goes: a broker with one directory has no choice, any other chooses later."""
    directories = image.brokers[broker_id].directories
    return directories[0] if len(directories) == 1 else UNASSIGNED_DIRECTORY
