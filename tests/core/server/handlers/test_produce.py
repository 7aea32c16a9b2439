"""Produce on the wire: what is refused and how, sequences and duplicates, acknowledgements."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from tests.core.server.handlers.conftest import Held
from tests.support.asks import Place, Topic, fetch_one, new_topic, produce, produce_request, wait_for_topic
from tests.support.log_batches import TIMESTAMP, Sender, make_batch, with_crc
from tests.support.wire import Wire

BATCH = make_batch()


class Outcome(NamedTuple):
    code: int
    base_offset: int = -1
    append_time_ms: int = -1
    log_start: int = -1


def outcome(part: PartitionProduceResponse) -> Outcome:
    return Outcome(part.error_code, part.base_offset, part.log_append_time_ms, part.log_start_offset)


def sent(wire: Wire, place: Topic | Place, records: object, version: int = 9, acks: int = -1) -> Outcome:
    return outcome(produce(wire, place, records, version=version, acks=acks))


def ask(wire: Wire, *topics: TopicProduceData, version: int = 9) -> list[tuple[str, list[Outcome]]]:
    answer = wire.call(ProduceRequest(None, -1, 30_000, list(topics)), ProduceResponse, version)
    return [(topic.name, [outcome(part) for part in topic.partition_responses]) for topic in answer.responses]


# -- where a batch lands


@pytest.mark.parametrize("version", range(3, 14))
def test_a_batch_lands_in_every_version(wire: Wire, version: int) -> None:
    topic = new_topic(wire)
    log_start = 0 if version >= 5 else -1
    assert sent(wire, topic, make_batch([b"a", b"b"]), version, acks=1) == Outcome(0, 0, -1, log_start)
    part = produce(wire, topic, BATCH, version=version)
    assert outcome(part) == Outcome(0, 2, -1, log_start)
    assert (part.record_errors, part.error_message) == ([], None)
    assert fetch_one(wire, topic).high_watermark == 3


def test_the_brokers_time_is_told_where_the_topic_asks_for_it(wire: Wire) -> None:
    topic = new_topic(wire, message_timestamp_type="LogAppendTime")
    first = sent(wire, topic, make_batch(sender=Sender(9, 0, 0)))
    assert first.append_time_ms > TIMESTAMP
    again = sent(wire, topic, make_batch(sender=Sender(9, 0, 0)))
    assert again == first


def test_several_partitions_are_answered_each(wire: Wire) -> None:
    topic, other = new_topic(wire, 3), new_topic(wire)
    parts = [PartitionProduceData(index, BATCH) for index in (2, 0, 7)]
    answer = dict(
        ask(
            wire,
            TopicProduceData(topic.name, topic.id, parts),
            TopicProduceData(other.name, other.id, [PartitionProduceData(0, BATCH)]),
            TopicProduceData("absent", bytes(16), [PartitionProduceData(0, BATCH)]),
        )
    )
    assert sorted(answer[topic.name]) == [Outcome(0, 0, -1, 0), Outcome(0, 0, -1, 0), Outcome(3)]
    assert answer[other.name] == [Outcome(0, 0, -1, 0)]
    assert answer["absent"] == [Outcome(3)]


def test_a_partition_named_twice_gets_the_last_batch_and_one_answer(wire: Wire) -> None:
    topic = new_topic(wire, 2)
    single, double = PartitionProduceData(0, BATCH), PartitionProduceData(0, make_batch([b"b", b"c"]))
    assert ask(wire, TopicProduceData(topic.name, topic.id, [single, double])) == [(topic.name, [Outcome(0, 0, -1, 0)])]
    assert fetch_one(wire, topic).high_watermark == 2
    first = TopicProduceData(topic.name, topic.id, [single])
    second = TopicProduceData(topic.name, topic.id, [PartitionProduceData(1, BATCH), double])
    ((name, parts),) = ask(wire, first, second)
    assert (name, sorted(parts)) == (topic.name, [Outcome(0, 0, -1, 0), Outcome(0, 2, -1, 0)])
    assert fetch_one(wire, topic).high_watermark == 4
    absent = TopicProduceData("absent", bytes(16), [single, double])
    assert ask(wire, absent) == [("absent", [Outcome(3)])]


def test_nothing_asked_nothing_answered(wire: Wire) -> None:
    assert wire.call(ProduceRequest(None, -1, 1, []), ProduceResponse, 9) == ProduceResponse()


# -- refusals


def test_unknown_places(wire: Wire) -> None:
    topic = new_topic(wire)
    assert sent(wire, Topic("absent"), BATCH).code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert sent(wire, Topic("no topic's name"), BATCH).code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    for index in (1, -1, 1 << 30):
        assert sent(wire, Place(topic, index), BATCH) == Outcome(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    assert sent(wire, Place(topic, 1), BATCH, 13) == Outcome(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    for unknown in (bytes(16), bytes(range(16))):
        answer = wire.call(produce_request(Topic("", unknown), BATCH), ProduceResponse, 13)
        (refused,) = answer.responses
        assert refused.topic_id == unknown
        assert outcome(refused.partition_responses[0]) == Outcome(ErrorCode.UNKNOWN_TOPIC_ID)


INVALID, CORRUPT = ErrorCode.INVALID_RECORD, ErrorCode.CORRUPT_MESSAGE

REFUSED = {
    # What is no batch of the right format is refused before the log is asked: no log start.
    "empty": (b"", INVALID, -1),
    "cut short": (BATCH[:-3], INVALID, -1),
    "shorter than a header": (BATCH[:50], INVALID, -1),
    "two batches": (BATCH + BATCH, INVALID, -1),
    "magic 0": (with_crc(BATCH[:16] + b"\0" + BATCH[17:]), INVALID, -1),
    "magic 1": (with_crc(BATCH[:16] + b"\1" + BATCH[17:]), INVALID, -1),
    "magic 3": (with_crc(BATCH[:16] + b"\3" + BATCH[17:]), CORRUPT, -1),
    "wrong CRC": (BATCH[:-1] + b"x", CORRUPT, -1),
    "length 13": (BATCH[:8] + b"\0\0\0\x0d" + BATCH[12:], CORRUPT, -1),
    "20 bytes behind": (BATCH + b"x" * 20, CORRUPT, -1),
    "larger than max.message.bytes": (make_batch([b"x" * 1_100_000]), ErrorCode.MESSAGE_TOO_LARGE, -1),
    "base offset 5": (make_batch(base_offset=5), INVALID, 0),
    "count 3 of 1": (make_batch(count=3), INVALID, 0),
    "count 0": (make_batch(count=0, delta=-1), INVALID, 0),
    "count -1": (make_batch(count=-1, delta=-2), INVALID, 0),
    "control batch": (make_batch(attributes=0x20), INVALID, 0),
    "producer without a sequence": (make_batch(sender=Sender(5, 0, -1)), INVALID, 0),
    "codec 5": (make_batch(attributes=5), ErrorCode.UNKNOWN_SERVER_ERROR, 0),
    "far in the future": (make_batch(timestamp=20_000_000_000_000), ErrorCode.INVALID_TIMESTAMP, 0),
    "broker's time of nothing": (make_batch(attributes=8, timestamp=-1), ErrorCode.INVALID_TIMESTAMP, 0),
    "transactional": (make_batch(attributes=0x10), ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_records_that_are_refused(wire: Wire, name: str) -> None:
    records, code, log_start = REFUSED[name]
    topic = new_topic(wire)
    assert sent(wire, topic, records) == Outcome(code, -1, -1, log_start)
    assert fetch_one(wire, topic).high_watermark == 0
    assert sent(wire, topic, BATCH).code == 0, "the log is as it was"


TAKEN = {
    "5 bytes behind": BATCH + b"12345",
    "no timestamp": make_batch(timestamp=-1),
    "broker's time on a topic of the producer's": make_batch(attributes=8),
    "old": make_batch(timestamp=1),
    "bits without a meaning": make_batch(attributes=0x80),
}


@pytest.mark.parametrize("name", TAKEN)
def test_records_that_look_odd_and_are_taken(wire: Wire, name: str) -> None:
    assert sent(wire, new_topic(wire), TAKEN[name]) == Outcome(0, 0, -1, 0)


def test_limits_of_a_topic(wire: Wire) -> None:
    small = new_topic(wire, max_message_bytes=str(len(BATCH)))
    assert sent(wire, small, BATCH).code == 0
    assert sent(wire, small, make_batch([b"longer value"])) == Outcome(ErrorCode.MESSAGE_TOO_LARGE)
    segment = new_topic(wire, segment_bytes="1048576", max_message_bytes="3000000")
    assert sent(wire, segment, make_batch([b"x" * 1_100_000])) == Outcome(ErrorCode.RECORD_LIST_TOO_LARGE)
    past = new_topic(wire, message_timestamp_before_max_ms="1000")
    assert sent(wire, past, BATCH) == Outcome(ErrorCode.INVALID_TIMESTAMP, -1, -1, 0)
    stamped = new_topic(wire, message_timestamp_type="LogAppendTime")
    assert sent(wire, stamped, make_batch(attributes=8)) == Outcome(ErrorCode.INVALID_TIMESTAMP, -1, -1, 0)


def test_zstd_is_refused_before_version_7(wire: Wire, oracle: bool) -> None:
    topic, batch = new_topic(wire), make_batch(attributes=4)
    assert sent(wire, topic, batch, 6) == Outcome(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    if not oracle:  # which decompresses it, and this one is none
        assert sent(wire, topic, batch, 7).code == 0


def test_only_minus_1_0_and_1_are_acks(wire: Wire) -> None:
    topic = new_topic(wire)
    for acks in (2, -2, 32_767):
        assert sent(wire, topic, BATCH, acks=acks) == Outcome(ErrorCode.INVALID_REQUIRED_ACKS)
    assert sent(wire, Topic("absent"), BATCH, acks=2).code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert sent(wire, topic, b"", acks=2).code == ErrorCode.INVALID_RECORD
    assert fetch_one(wire, topic).high_watermark == 0


def test_null_records_are_refused(wire: Wire, oracle: bool) -> None:
    if oracle:
        pytest.skip("Apache Kafka never answers them")
    assert sent(wire, new_topic(wire), None) == Outcome(ErrorCode.INVALID_RECORD)


# -- sequences


def numbered(producer: int, epoch: int, sequence: int, count: int = 1) -> bytes:
    return make_batch([b"v"] * count, sender=Sender(producer, epoch, sequence))


OUT_OF_ORDER = Outcome(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1, -1, 0)


def appended(offset: int) -> Outcome:
    return Outcome(0, offset, -1, 0)


def duplicate(offset: int) -> Outcome:
    return Outcome(0, offset, TIMESTAMP, 0)


def test_sequences_follow_each_other(wire: Wire) -> None:
    topic = new_topic(wire)
    assert sent(wire, topic, numbered(1, 0, 7)) == appended(0), "an unknown producer begins anywhere"
    assert sent(wire, topic, numbered(1, 0, 8, 2)) == appended(1)
    assert sent(wire, topic, numbered(1, 0, 12)) == OUT_OF_ORDER
    assert sent(wire, topic, numbered(1, 0, 9, 2)) == OUT_OF_ORDER, "overlaps"
    assert sent(wire, topic, numbered(1, 0, 8, 1)) == OUT_OF_ORDER, "half a duplicate"
    assert sent(wire, topic, numbered(1, 0, 10)) == appended(3)


def test_the_last_five_batches_are_known_as_duplicates(wire: Wire) -> None:
    topic = new_topic(wire)
    for sequence in range(6):
        assert sent(wire, topic, numbered(1, 0, sequence)) == appended(sequence)
    assert [sent(wire, topic, numbered(1, 0, sequence)) for sequence in range(6)] == [
        OUT_OF_ORDER,
        *(duplicate(sequence) for sequence in range(1, 6)),
    ]
    assert fetch_one(wire, topic).high_watermark == 6


def test_epochs_of_a_producer(wire: Wire) -> None:
    topic = new_topic(wire)
    assert sent(wire, topic, numbered(1, 3, 0)) == appended(0)
    assert sent(wire, topic, numbered(1, 4, 5)) == OUT_OF_ORDER, "a new epoch begins at 0"
    assert sent(wire, topic, numbered(1, 4, 0)) == appended(1)
    assert sent(wire, topic, numbered(1, 3, 1)) == Outcome(ErrorCode.INVALID_PRODUCER_EPOCH, -1, -1, 0)
    assert sent(wire, topic, numbered(2, 0, 0)) == appended(2), "another producer"


def test_sequences_begin_again_at_0_within_a_batch_and_between_two(wire: Wire) -> None:
    topic = new_topic(wire)
    last = (1 << 31) - 1
    assert sent(wire, topic, numbered(1, 0, last - 1)) == appended(0)
    assert sent(wire, topic, numbered(1, 0, last, 3)) == appended(1)
    assert sent(wire, topic, numbered(1, 0, 2)) == appended(4)
    assert sent(wire, topic, numbered(1, 0, last, 3)) == duplicate(1)
    assert sent(wire, topic, numbered(2, 0, last)) == appended(5)
    assert sent(wire, topic, numbered(2, 0, 0)) == appended(6)


def test_a_producer_of_old_events_is_not_forgotten(held: Held) -> None:
    topic = new_topic(held.wire)
    old = make_batch(timestamp=1, sender=Sender(1, 0, 0))
    assert sent(held.wire, topic, old) == appended(0)
    for _ in range(2):
        held.broker.on_loop(held.broker.broker._directory.housekeeping)
    assert sent(held.wire, topic, old) == Outcome(0, 0, 1, 0)


# -- acknowledgements


def test_acks_0_is_never_answered(wire: Wire) -> None:
    topic = new_topic(wire)
    wire.send(produce_request(topic, BATCH, acks=0), 9)
    later = wire.send(produce_request(topic, BATCH), 9)
    (answer,) = wire.receive(later, ProduceResponse, 9).responses
    assert outcome(answer.partition_responses[0]) == appended(1)


@pytest.mark.parametrize("records", [BATCH[:-1] + b"x", b"", make_batch(attributes=0x10)])
def test_acks_0_that_fails_closes_the_connection(wire: Wire, second_wire: Wire, records: bytes) -> None:
    topic = new_topic(wire)
    second_wire.send(produce_request(topic, records, acks=0), 9)
    assert second_wire.closed_by_broker()


def test_acks_0_to_nowhere_closes_the_connection(wire: Wire) -> None:
    wire.send(produce_request(Topic("absent"), BATCH, acks=0), 9)
    assert wire.closed_by_broker()


def unanswered(wire: Wire) -> bool:
    """Nothing came although the loop had its turns."""
    wire.socket.settimeout(0.05)
    try:
        wire.socket.recv(1)
    except TimeoutError:
        wire.socket.settimeout(30.0)
        return True
    return False


def test_acks_all_waits_for_the_disk_and_acks_1_does_not(held: Held) -> None:
    topic = new_topic(held.wire)
    held.files.hold()
    assert sent(held.wire, topic, BATCH, acks=1) == appended(0)
    waits = held.wire.send(produce_request(topic, BATCH), 9)
    assert unanswered(held.wire)
    with held.broker.connect() as reader:
        assert fetch_one(reader, topic).high_watermark == 0, "nobody reads what a power loss can take back"
    held.files.release()
    (answer,) = held.wire.receive(waits, ProduceResponse, 9).responses
    assert outcome(answer.partition_responses[0]) == appended(1)


def test_the_retry_of_a_batch_that_is_not_synced_waits_for_it(held: Held) -> None:
    topic = new_topic(held.wire)
    held.files.hold()
    batch = numbered(1, 0, 0)
    first = held.wire.send(produce_request(topic, batch), 9)
    with held.broker.connect() as again, held.broker.connect() as other:
        assert unanswered(held.wire)
        retry = again.send(produce_request(topic, batch), 9)
        assert unanswered(again)
        assert sent(other, topic, batch, acks=1) == duplicate(0), "which is written"
        held.files.release()
        assert again.receive(retry, ProduceResponse, 9).responses[0].partition_responses[0].base_offset == 0
    held.wire.receive(first, ProduceResponse, 9)
    assert fetch_one(held.wire, topic).high_watermark == 1


def test_time_is_up_for_an_answer_whose_batch_stays(held: Held) -> None:
    topic = new_topic(held.wire)
    held.files.hold()
    asked = held.wire.send(produce_request(topic, BATCH, timeout_ms=1), 9)
    (answer,) = held.wire.receive(asked, ProduceResponse, 9).responses
    part = answer.partition_responses[0]
    assert (part.error_code, part.base_offset) == (ErrorCode.REQUEST_TIMED_OUT, 0)
    held.files.release()
    assert sent(held.wire, topic, BATCH) == appended(1)


def test_a_sync_that_fails_is_no_success(held: Held) -> None:
    topic = new_topic(held.wire)
    held.files.hold()
    asked = held.wire.send(produce_request(topic, BATCH), 9)
    held.broker.turns()
    held.files.break_syncs(OSError(5, "EIO"))
    held.files.release()
    (answer,) = held.wire.receive(asked, ProduceResponse, 9).responses
    assert outcome(answer.partition_responses[0]).code == ErrorCode.KAFKA_STORAGE_ERROR
    assert answer.partition_responses[0].base_offset == -1
    assert sent(held.wire, topic, BATCH).code == ErrorCode.KAFKA_STORAGE_ERROR


def test_internal_topics_are_written_by_the_broker_only(wire: Wire) -> None:
    topic = wait_for_topic(wire, "__consumer_offsets")
    assert sent(wire, topic, BATCH) == Outcome(ErrorCode.INVALID_TOPIC_EXCEPTION)


def test_a_partition_without_a_leader_is_refused_with_what_is_known(held: Held) -> None:
    topic = new_topic(held.wire)

    def resign() -> None:
        held.broker.broker.replicas.by_name[topic.name][0] = None

    held.broker.on_loop(resign)
    for version, leader in ((9, -1), (10, 1), (13, 1)):
        part = produce(held.wire, topic, BATCH, version=version)
        assert outcome(part) == Outcome(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        assert part.current_leader.leader_id == leader
