"""Fetch on the wire: bytes and limits, waiting, refusals, leader epochs, divergence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from moldau.core.protocol.messages.fetch import FetchRequest, FetchResponse, FetchTopic, PartitionData, ReplicaState
from moldau.core.server.handlers.fetch import Reading
from tests.core.server.handlers.conftest import Held
from tests.support.asks import (
    Place,
    Topic,
    fetch,
    fetch_one,
    fetch_partition,
    fetch_request,
    new_topic,
    produce,
    produce_request,
)
from tests.support.inprocess import InProcess
from tests.support.log_batches import make_batch
from tests.support.wire import Wire

SMALL = make_batch([b"x" * 100])
LARGE = make_batch([b"y" * 1000])
LONG_MS = 20_000  # never waited for: a test that does fails by its socket's timeout
SHORT_MS = 30


class Seen(NamedTuple):
    """An answered partition, in short: (partition, error, high watermark, log start, aborted, bytes)."""

    partition: int
    code: int
    high_watermark: int
    log_start: int
    aborted: list[Any] | None
    size: int


def seen(part: PartitionData) -> Seen:
    return Seen(
        part.partition_index,
        part.error_code,
        part.high_watermark,
        part.log_start_offset,
        part.aborted_transactions,
        len(part.records),
    )


def refused(index: int, code: int, aborted: list[Any] | None = None) -> Seen:
    return Seen(index, code, -1, -1, aborted, 0)


@pytest.fixture
def topic(wire: Wire) -> Topic:
    """Partition 0: three small batches; 1: a large one; 2: nothing."""
    made = new_topic(wire, 3)
    for _ in range(3):
        assert produce(wire, made, SMALL).error_code == 0
    assert produce(wire, Place(made, 1), LARGE).error_code == 0
    return made


# -- bytes


@pytest.mark.parametrize("version", range(4, 19))
def test_stored_batches_come_back_in_every_version(wire: Wire, topic: Topic, version: int) -> None:
    part = fetch_one(wire, topic, version=version)
    assert seen(part) == Seen(0, 0, 3, 0 if version >= 5 else -1, None, 3 * len(SMALL))
    assert part.last_stable_offset == 3
    records = bytes(part.records)
    # The stored batch differs from the sent one in offset and leader epoch only.
    assert [records[at + 16 : at + len(SMALL)] for at in range(0, len(records), len(SMALL))] == [SMALL[16:]] * 3
    assert [records[at + 7] for at in range(0, len(records), len(SMALL))] == [0, 1, 2]


def test_reading_begins_with_the_batch_that_holds_the_offset(wire: Wire) -> None:
    topic = new_topic(wire)
    batch = make_batch([b"a", b"b", b"c"])
    for _ in range(2):
        produce(wire, topic, batch)
    assert len(fetch_one(wire, topic, 2).records) == 2 * len(batch)
    assert len(fetch_one(wire, topic, 3).records) == len(batch)


@pytest.mark.parametrize("limit", [0, 1, len(SMALL) - 1])
def test_the_first_batch_is_whole_whatever_the_limits(wire: Wire, topic: Topic, limit: int) -> None:
    assert len(fetch_one(wire, topic, max_bytes=limit).records) == len(SMALL)
    (part,) = fetch(wire, topic, fetch_partition(0, 0, partition_max_bytes=limit))
    assert len(part.records) == len(SMALL)


def test_later_batches_are_cut_at_the_limit(wire: Wire, topic: Topic) -> None:
    (part,) = fetch(wire, topic, fetch_partition(0, 0, partition_max_bytes=200))
    assert len(part.records) == 200
    assert len(fetch_one(wire, topic, max_bytes=201).records) == 201


def test_only_the_first_partition_with_data_may_go_beyond_the_limits(wire: Wire, topic: Topic) -> None:
    asked = [fetch_partition(index, 0, partition_max_bytes=1) for index in (2, 1, 0)]
    assert [len(part.records) for part in fetch(wire, topic, *asked)] == [0, len(LARGE), 0]
    asked = [fetch_partition(0, 0), fetch_partition(1, 0)]
    assert [len(part.records) for part in fetch(wire, topic, *asked, max_bytes=1300)] == [3 * len(SMALL), 0]


def test_a_partition_named_twice_counts_with_its_last_position(wire: Wire, topic: Topic) -> None:
    assert [len(part.records) for part in fetch(wire, topic, fetch_partition(0, 0), fetch_partition(0, 2))] == [
        len(SMALL)
    ]
    request = fetch_request(topic, fetch_partition(0, 0))
    request.topics.append(FetchTopic(topic.name, topic.id, [fetch_partition(1, 0), fetch_partition(0, 1)]))
    (answer,) = wire.call(request, FetchResponse, 12).responses
    assert [(part.partition_index, len(part.records)) for part in answer.partitions] == [
        (0, 2 * len(SMALL)),
        (1, len(LARGE)),
    ]


# -- waiting


def test_an_answer_waits_for_the_first_byte(wire: Wire, second_wire: Wire, topic: Topic) -> None:
    asked = wire.send(fetch_request(topic, fetch_partition(2, 0), max_wait_ms=LONG_MS), 12)
    produce(second_wire, Place(topic, 2), SMALL)
    ((part,),) = [each.partitions for each in wire.receive(asked, FetchResponse, 12).responses]
    assert seen(part) == Seen(2, 0, 1, 0, None, len(SMALL))


def test_an_answer_waits_for_min_bytes_of_all_its_partitions(wire: Wire, second_wire: Wire) -> None:
    topic = new_topic(wire, 2)
    asked = [fetch_partition(0, 0), fetch_partition(1, 0)]
    sent = wire.send(fetch_request(topic, *asked, max_wait_ms=LONG_MS, min_bytes=3 * len(SMALL)), 12)
    for index in (0, 1, 0):
        produce(second_wire, Place(topic, index), SMALL)
    ((first, second),) = [each.partitions for each in wire.receive(sent, FetchResponse, 12).responses]
    assert (len(first.records), len(second.records)) == (2 * len(SMALL), len(SMALL))


def test_what_is_there_leaves_when_time_is_up(wire: Wire, topic: Topic) -> None:
    part = fetch_one(wire, topic, 2, min_bytes=1 << 20, max_wait_ms=SHORT_MS)
    assert seen(part) == Seen(0, 0, 3, 0, None, len(SMALL))
    assert seen(fetch_one(wire, topic, 3, max_wait_ms=SHORT_MS)) == Seen(0, 0, 3, 0, None, 0)


@pytest.mark.parametrize(("min_bytes", "more"), [(0, {}), (-1, {}), (1 << 20, {"max_bytes": 200})])
def test_nothing_to_wait_for(wire: Wire, topic: Topic, min_bytes: int, more: dict[str, int]) -> None:
    # min_bytes is capped by max_bytes, not by what one partition may give.
    fetch_one(wire, topic, 0 if more else 3, min_bytes=min_bytes, max_wait_ms=LONG_MS, **more)


def test_no_time_to_wait(wire: Wire, topic: Topic) -> None:
    for wait_ms in (0, -5):
        assert seen(fetch_one(wire, topic, 3, max_wait_ms=wait_ms)) == Seen(0, 0, 3, 0, None, 0)


def test_no_partition_to_wait_for(wire: Wire, topic: Topic) -> None:
    nothing = FetchRequest(max_wait_ms=LONG_MS, min_bytes=1)
    assert wire.call(nothing, FetchResponse, 12) == FetchResponse()
    nothing.topics = [FetchTopic(topic.name, topic.id, [])]
    assert wire.call(nothing, FetchResponse, 12) == FetchResponse()
    absent = fetch(wire, Topic("absent"), max_wait_ms=LONG_MS)
    assert [seen(part) for part in absent] == [refused(0, 3, [])]


def test_an_error_ends_the_wait_of_the_others(wire: Wire, topic: Topic) -> None:
    asked = [fetch_partition(1, 50), fetch_partition(0, 3)]
    assert [seen(part) for part in fetch(wire, topic, *asked, max_wait_ms=LONG_MS)] == [
        refused(1, ErrorCode.OFFSET_OUT_OF_RANGE),
        Seen(0, 0, 3, 0, None, 0),
    ]


def test_an_unknown_partition_does_not_end_the_wait_and_stands_last(
    wire: Wire, second_wire: Wire, topic: Topic
) -> None:
    sent = wire.send(fetch_request(topic, fetch_partition(9, 0), fetch_partition(2, 0), max_wait_ms=LONG_MS), 12)
    produce(second_wire, Place(topic, 2), SMALL)
    ((known, unknown),) = [each.partitions for each in wire.receive(sent, FetchResponse, 12).responses]
    assert seen(known) == Seen(2, 0, 1, 0, None, len(SMALL))
    assert seen(unknown) == refused(9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, [])


def test_a_topic_that_is_deleted_ends_the_wait(wire: Wire, second_wire: Wire, topic: Topic, oracle: bool) -> None:
    sent = wire.send(fetch_request(topic, fetch_partition(2, 0), max_wait_ms=5_000 if oracle else LONG_MS), 12)
    deletion = DeleteTopicsRequest([DeleteTopicState(topic.name)], timeout_ms=30_000)
    assert second_wire.call(deletion, DeleteTopicsResponse, 6).responses[0].error_code == 0
    ((part,),) = [each.partitions for each in wire.receive(sent, FetchResponse, 12).responses]
    assert part.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_who_is_gone_waits_no_more(held: Held) -> None:
    topic = new_topic(held.wire)
    partition = held.broker.broker.replicas.by_name[topic.name][0]
    assert partition is not None
    with held.broker.connect() as reader:
        reader.send(fetch_request(topic, max_wait_ms=LONG_MS, min_bytes=1000), 12)
        while not held.broker.on_loop(lambda: list(partition.fetch_waiters)):
            pass
        produce(held.wire, topic, SMALL)
    while held.broker.on_loop(lambda: list(partition.fetch_waiters)):
        pass
    log_file = partition.log.segments[-1].file
    assert log_file is not None
    assert log_file.references == 1, "its slices are let go"


def test_a_waiting_fetch_keeps_no_slice_and_says_what_it_weighs(held: Held) -> None:
    topic = new_topic(held.wire)
    produce(held.wire, topic, SMALL)
    partition = held.broker.broker.replicas.by_name[topic.name][0]
    assert partition is not None
    with held.broker.connect() as reader:
        asked = [fetch_partition(0, 0), *(fetch_partition(index, 0) for index in range(1, 1001))]
        sent = reader.send(fetch_request(topic, *asked, max_wait_ms=LONG_MS, min_bytes=2 * len(SMALL)), 12)
        while not held.broker.on_loop(lambda: list(partition.fetch_waiters)):
            pass
        file = partition.log.segments[-1].file
        assert file is not None
        assert file.references == 1
        budget = held.broker.broker._connections.send_budget
        assert budget.used > 1000 * 100
        produce(held.wire, topic, SMALL)
        (answer,) = reader.receive(sent, FetchResponse, 12).responses
        assert len(answer.partitions) == 1001
        assert len(answer.partitions[0].records) == 2 * len(SMALL)
        assert budget.used == 0


def test_only_partitions_that_moved_are_looked_at_again(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = new_topic(held.wire, 50)
    looked: list[int] = []
    before = Reading._read_partition

    def read(self: Reading, partition: Any, part: Any) -> PartitionData:
        looked.append(part.partition)
        return before(self, partition, part)

    monkeypatch.setattr(Reading, "_read_partition", read)
    with held.broker.connect() as reader:
        asked = [fetch_partition(index, 0) for index in range(50)]
        sent = reader.send(fetch_request(topic, *asked, max_wait_ms=LONG_MS, min_bytes=2 * len(SMALL)), 12)
        held.broker.turns()
        assert looked == list(range(50))
        looked.clear()
        produce(held.wire, Place(topic, 7), SMALL)
        while looked != [7]:
            held.broker.turns(1)
        produce(held.wire, Place(topic, 9), SMALL)
        reader.receive(sent, FetchResponse, 12)
        assert looked == [7, 9, *range(50)]


# -- refusals


@pytest.mark.parametrize("offset", [4, -1, -5, 1 << 40])
def test_offsets_that_are_not_there(wire: Wire, topic: Topic, offset: int) -> None:
    part = fetch_one(wire, topic, offset, max_wait_ms=LONG_MS, isolation_level=1)
    assert seen(part) == refused(0, ErrorCode.OFFSET_OUT_OF_RANGE)
    assert part.last_stable_offset == -1


def test_unknown_places(wire: Wire, topic: Topic) -> None:
    assert seen(fetch_one(wire, Topic("no topic's name"))) == refused(0, 3, [])
    for index in (3, -1):
        assert [seen(part) for part in fetch(wire, topic, fetch_partition(index, 0))] == [refused(index, 3, [])]
        assert [seen(part) for part in fetch(wire, topic, fetch_partition(index), version=13)] == [
            refused(index, 3, [])
        ]
    for unknown in (bytes(16), bytes(range(16))):
        answer = wire.call(fetch_request(Topic("", unknown)), FetchResponse, 13)
        assert [each.topic_id for each in answer.responses] == [unknown]
        assert seen(answer.responses[0].partitions[0]) == refused(0, ErrorCode.UNKNOWN_TOPIC_ID, [])


def test_read_committed_names_aborted_transactions_even_when_there_are_none(wire: Wire, topic: Topic) -> None:
    assert fetch_one(wire, topic, isolation_level=1).aborted_transactions == []
    assert fetch_one(wire, topic).aborted_transactions is None


def test_an_isolation_that_is_none(wire: Wire, topic: Topic) -> None:
    answer = wire.call(fetch_request(topic, isolation_level=7), FetchResponse, 12)
    assert answer.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert seen(answer.responses[0].partitions[0]) == refused(0, -1, [])


def test_negative_limits(wire: Wire, topic: Topic) -> None:
    assert seen(fetch_one(wire, topic, max_bytes=-1)) == refused(0, -1)
    (part,) = fetch(wire, topic, fetch_partition(0, 0, partition_max_bytes=-1))
    assert seen(part) == refused(0, -1)


def test_a_strangers_replica_id(wire: Wire, topic: Topic) -> None:
    assert seen(fetch_one(wire, topic, replica_id=5)) == refused(0, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    part = fetch_one(wire, topic, version=17, replica_state=ReplicaState(5, -1))
    assert seen(part) == refused(0, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert fetch_one(wire, topic, replica_id=-2).error_code == 0


def test_sessions_are_not_kept(wire: Wire, topic: Topic, oracle: bool) -> None:
    for session_id, epoch in ((0, 5), (9, 3), (0, 1)):
        answer = wire.call(fetch_request(topic, session_id=session_id, session_epoch=epoch), FetchResponse, 12)
        assert (answer.error_code, answer.session_id, answer.responses) == (70, 0, [])
    for session_id, epoch in ((0, 0), (9, 0), (0, -1), (9, -1)):
        answer = wire.call(fetch_request(topic, session_id=session_id, session_epoch=epoch), FetchResponse, 12)
        assert (answer.error_code, len(answer.responses)) == (0, 1)
        assert answer.session_id == 0 or (oracle and epoch == 0)


# -- epochs


@pytest.mark.parametrize("version", [9, 12, 16])
def test_an_epoch_that_is_not_yet(wire: Wire, topic: Topic, version: int) -> None:
    (part,) = fetch(wire, topic, fetch_partition(0, 0, current_leader_epoch=7), version=version, max_wait_ms=LONG_MS)
    assert seen(part) == refused(0, ErrorCode.UNKNOWN_LEADER_EPOCH)
    assert part.current_leader.leader_id == -1


def test_a_last_fetched_epoch_that_is_not_yet(wire: Wire, topic: Topic) -> None:
    asked = fetch_partition(0, 3, last_fetched_epoch=7)
    (part,) = fetch(wire, topic, asked, max_wait_ms=LONG_MS, isolation_level=1)
    assert seen(part) == refused(0, ErrorCode.OFFSET_OUT_OF_RANGE)


def test_a_reader_beyond_the_end_of_its_epoch_is_told_where_it_ended(wire: Wire, topic: Topic) -> None:
    asked = fetch_partition(0, 9, last_fetched_epoch=0)
    (part,) = fetch(wire, topic, asked, max_wait_ms=LONG_MS)
    assert seen(part) == Seen(0, 0, 3, 0, None, 0)
    assert (part.diverging_epoch.epoch, part.diverging_epoch.end_offset) == (0, 3)


def test_a_reader_of_the_same_log_does_not_diverge(wire: Wire, topic: Topic) -> None:
    (part,) = fetch(wire, topic, fetch_partition(0, 2, last_fetched_epoch=0))
    assert (len(part.records), part.diverging_epoch.epoch) == (len(SMALL), -1)


def test_a_restart_fences_older_epochs_and_says_who_leads(tmp_path: Path, oracle: bool) -> None:
    if oracle:
        pytest.skip("restarts a broker of ours")
    with InProcess(tmp_path) as broker, broker.connect() as wire:
        topic = new_topic(wire)
        produce(wire, topic, SMALL)
        (part,) = fetch(wire, topic, fetch_partition(0, 0, current_leader_epoch=0))
        assert part.error_code == 0
    with InProcess(tmp_path) as broker, broker.connect() as wire:
        old = fetch_partition(0, 0, current_leader_epoch=0)
        (part,) = fetch(wire, topic, old, max_wait_ms=LONG_MS)
        assert seen(part) == refused(0, ErrorCode.FENCED_LEADER_EPOCH)
        assert part.current_leader.leader_id == -1
        answer = wire.call(fetch_request(topic, old), FetchResponse, 16)
        (part,) = answer.responses[0].partitions
        assert seen(part) == refused(0, ErrorCode.FENCED_LEADER_EPOCH)
        assert part.current_leader.leader_id == 1
        epoch = part.current_leader.leader_epoch
        assert epoch > 0
        assert [(each.node_id, each.host, each.port) for each in answer.node_endpoints] == [
            (1, broker.host, broker.port)
        ]
        (part,) = fetch(wire, topic, fetch_partition(0, 0, current_leader_epoch=epoch))
        assert len(part.records) == len(SMALL)
        # The new epoch has nothing yet: a reader of the old one is where it ended.
        (part,) = fetch(wire, topic, fetch_partition(0, 1, last_fetched_epoch=0))
        assert (part.error_code, part.diverging_epoch.epoch) == (0, -1)
        produce(wire, topic, SMALL)
        (part,) = fetch(wire, topic, fetch_partition(0, 2, last_fetched_epoch=0))
        assert (part.diverging_epoch.epoch, part.diverging_epoch.end_offset, len(part.records)) == (0, 1, 0)


# -- the disk


def test_a_partition_without_a_leader(held: Held) -> None:
    topic = new_topic(held.wire)

    def resign() -> None:
        held.broker.broker.replicas.by_name[topic.name][0] = None

    held.broker.on_loop(resign)
    assert seen(fetch_one(held.wire, topic, max_wait_ms=LONG_MS)) == refused(0, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    part = fetch_one(held.wire, topic, version=16)
    assert (part.error_code, part.current_leader.leader_id) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, 1)


def test_nobody_waits_at_a_disk_that_failed(held: Held) -> None:
    topic = new_topic(held.wire)
    with held.broker.connect() as reader:
        sent = reader.send(fetch_request(topic, max_wait_ms=LONG_MS), 12)
        held.files.break_syncs(OSError(5, "EIO"))
        held.wire.send(produce_request(topic, SMALL), 9)
        ((part,),) = [each.partitions for each in reader.receive(sent, FetchResponse, 12).responses]
        assert seen(part) == refused(0, ErrorCode.KAFKA_STORAGE_ERROR)
