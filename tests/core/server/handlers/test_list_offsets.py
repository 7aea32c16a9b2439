"""ListOffsets on the wire: special offsets, look-up by time, refusals, the wait for what is not committed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from moldau.core.server.handlers.list_offsets import (
    EARLIEST,
    EARLIEST_LOCAL,
    EARLIEST_PENDING_UPLOAD,
    LATEST,
    LATEST_TIERED,
    MAX_TIMESTAMP,
)
from tests.core.server.handlers.conftest import Held
from tests.support.asks import Topic, fetch_one, new_topic, produce, produce_request
from tests.support.inprocess import InProcess
from tests.support.log_batches import make_batch
from tests.support.wire import Wire


class Seen(NamedTuple):
    offset: int
    timestamp: int = -1
    epoch: int = -1
    code: int = 0


NOTHING = Seen(-1)


def seen(part: ListOffsetsPartitionResponse) -> Seen:
    return Seen(part.offset, part.timestamp, part.leader_epoch, part.error_code)


def refused(code: ErrorCode) -> Seen:
    return Seen(-1, -1, -1, code)


def ask(
    wire: Wire, *topics: ListOffsetsTopic, version: int = 11, isolation: int = 0, replica: int = -1
) -> dict[str, dict[int, Seen]]:
    answer = wire.call(ListOffsetsRequest(replica, isolation, list(topics)), ListOffsetsResponse, version)
    assert len({topic.name for topic in answer.topics}) == len(answer.topics)
    return {topic.name: {part.partition_index: seen(part) for part in topic.partitions} for topic in answer.topics}


def offset_at(
    wire: Wire, topic: Topic, timestamp: int, *, epoch: int = -1, version: int = 11, isolation: int = 0
) -> Seen:
    asked = ListOffsetsTopic(topic.name, [ListOffsetsPartition(0, epoch, timestamp)])
    return ask(wire, asked, version=version, isolation=isolation)[topic.name][0]


@pytest.fixture
def topic(wire: Wire) -> Topic:
    """Timestamps 1000, 1010 | 500 | 2000, 2005, 2010 | 2010."""
    made = new_topic(wire, 2)
    for batch in (
        make_batch([b"a", b"b"], timestamp=1000, step_ms=10),
        make_batch([b"c"], timestamp=500),
        make_batch([b"d", b"e", b"f"], timestamp=2000, step_ms=5),
        make_batch([b"g"], timestamp=2010),
    ):
        assert produce(wire, made, batch).error_code == 0
    return made


@pytest.mark.parametrize("isolation", [0, 1])
def test_special_offsets(wire: Wire, topic: Topic, isolation: int) -> None:
    wanted = {
        LATEST: Seen(7, -1, 0),
        EARLIEST: Seen(0, -1, 0),
        MAX_TIMESTAMP: Seen(5, 2010, 0),
        EARLIEST_LOCAL: Seen(0, -1, 0),
        LATEST_TIERED: NOTHING,
        EARLIEST_PENDING_UPLOAD: NOTHING,
    }
    assert {timestamp: offset_at(wire, topic, timestamp, isolation=isolation) for timestamp in wanted} == wanted


def test_special_offsets_of_nothing(wire: Wire) -> None:
    topic = new_topic(wire)
    wanted = {
        LATEST: Seen(0, -1, 0),
        EARLIEST: Seen(0, -1, 0),
        MAX_TIMESTAMP: NOTHING,
        EARLIEST_LOCAL: Seen(0, -1, 0),
        LATEST_TIERED: NOTHING,
        EARLIEST_PENDING_UPLOAD: NOTHING,
        0: NOTHING,
    }
    assert {timestamp: offset_at(wire, topic, timestamp) for timestamp in wanted} == wanted


SINCE = {LATEST: 1, EARLIEST: 1, MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}


@pytest.mark.parametrize("version", range(1, 12))
def test_each_special_offset_needs_its_version(wire: Wire, topic: Topic, version: int) -> None:
    codes = {timestamp: offset_at(wire, topic, timestamp, version=version).code for timestamp in [*SINCE, -7, -100]}
    assert codes == {
        timestamp: 0 if version >= SINCE.get(timestamp, 99) else ErrorCode.UNSUPPORTED_VERSION for timestamp in codes
    }


def test_epochs_are_told_from_version_4_on(wire: Wire, topic: Topic) -> None:
    assert [offset_at(wire, topic, 0, version=version).epoch for version in (1, 3, 4, 11)] == [-1, -1, 0, 0]
    assert [offset_at(wire, topic, LATEST, version=version).epoch for version in (1, 3, 4)] == [-1, -1, 0]


@pytest.mark.parametrize(
    ("timestamp", "offset", "found"),
    [
        (0, 0, 1000),
        (1000, 0, 1000),
        (1001, 1, 1010),
        (1011, 3, 2000),
        (2001, 4, 2005),
        (2006, 5, 2010),
        (2010, 5, 2010),
    ],
)
def test_the_first_record_that_is_not_older(wire: Wire, topic: Topic, timestamp: int, offset: int, found: int) -> None:
    assert offset_at(wire, topic, timestamp) == Seen(offset, found, 0)


def test_no_record_is_that_new(wire: Wire, topic: Topic) -> None:
    assert offset_at(wire, topic, 2011) == NOTHING
    assert offset_at(wire, topic, (1 << 63) - 1) == NOTHING


# -- refusals


def test_unknown_places(wire: Wire, topic: Topic) -> None:
    missing = refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    assert offset_at(wire, Topic("absent"), LATEST) == missing
    assert offset_at(wire, Topic("no topic's name"), LATEST) == missing
    parts = [ListOffsetsPartition(index, -1, LATEST) for index in (1, 0, 2, -1)]
    assert ask(wire, ListOffsetsTopic(topic.name, parts)) == {
        topic.name: {0: Seen(7, -1, 0), 1: Seen(0, -1, 0), 2: missing, -1: missing}
    }


def test_a_timestamp_that_is_none_is_told_first(wire: Wire, topic: Topic) -> None:
    unsupported = refused(ErrorCode.UNSUPPORTED_VERSION)
    assert offset_at(wire, Topic("absent"), -7) == unsupported
    assert offset_at(wire, topic, -7, epoch=9) == unsupported


@pytest.mark.parametrize("version", [4, 11])
def test_leader_epochs_are_checked(wire: Wire, topic: Topic, version: int) -> None:
    assert offset_at(wire, topic, LATEST, epoch=0, version=version) == Seen(7, -1, 0)
    assert offset_at(wire, topic, LATEST, epoch=1, version=version) == refused(ErrorCode.UNKNOWN_LEADER_EPOCH)
    assert offset_at(wire, topic, EARLIEST, epoch=-2, version=version) == refused(ErrorCode.FENCED_LEADER_EPOCH)


def test_a_partition_named_twice_is_an_error_said_once(wire: Wire, topic: Topic) -> None:
    once, twice = ListOffsetsPartition(1, -1, LATEST), ListOffsetsPartition(0, -1, LATEST)
    wanted = {topic.name: {0: refused(ErrorCode.INVALID_REQUEST), 1: Seen(0, -1, 0)}}
    assert ask(wire, ListOffsetsTopic(topic.name, [twice, once, twice])) == wanted
    assert ask(wire, ListOffsetsTopic(topic.name, [twice]), ListOffsetsTopic(topic.name, [once, twice])) == wanted
    absent = ListOffsetsTopic("absent", [twice, twice])
    assert ask(wire, absent) == {"absent": {0: refused(ErrorCode.INVALID_REQUEST)}}


def test_a_topic_named_twice_is_answered_once(wire: Wire, topic: Topic) -> None:
    first = ListOffsetsTopic(topic.name, [ListOffsetsPartition(0, -1, LATEST)])
    second = ListOffsetsTopic(topic.name, [ListOffsetsPartition(1, -1, LATEST)])
    assert ask(wire, first, second) == {topic.name: {0: Seen(7, -1, 0), 1: Seen(0, -1, 0)}}


def test_nothing_asked_nothing_answered(wire: Wire, topic: Topic) -> None:
    assert ask(wire) == {}
    assert ask(wire, ListOffsetsTopic(topic.name, [])) == {}


@pytest.mark.parametrize("isolation", [7, -1])
def test_an_isolation_that_is_none(wire: Wire, topic: Topic, isolation: int) -> None:
    assert offset_at(wire, topic, LATEST, isolation=isolation) == refused(ErrorCode.UNKNOWN_SERVER_ERROR)
    assert offset_at(wire, topic, EARLIEST, isolation=isolation) == refused(ErrorCode.UNKNOWN_SERVER_ERROR)


def test_nobody_asks_who_a_replica_is(wire: Wire, topic: Topic) -> None:
    asked = ListOffsetsTopic(topic.name, [ListOffsetsPartition(0, -1, LATEST)])
    for replica in (5, -2):
        assert ask(wire, asked, replica=replica)[topic.name][0] == Seen(7, -1, 0)


# -- the disk


def test_latest_waits_for_the_end_it_saw(held: Held) -> None:
    topic = new_topic(held.wire)
    held.files.hold()
    assert produce(held.wire, topic, make_batch([b"a", b"b"]), acks=1).base_offset == 0
    with held.broker.connect() as other:
        latest = ListOffsetsRequest(-1, 0, [ListOffsetsTopic(topic.name, [ListOffsetsPartition(0, -1, LATEST)])])
        asked = other.send(latest, 7)
        held.broker.turns()
        assert offset_at(held.wire, topic, EARLIEST) == Seen(0, -1, 0), "which waits for nothing"
        assert offset_at(held.wire, topic, 0) == NOTHING, "what is not committed is not found"
        assert offset_at(held.wire, topic, MAX_TIMESTAMP) == NOTHING
        held.files.release()
        ((part,),) = [each.partitions for each in other.receive(asked, ListOffsetsResponse, 7).topics]
        assert part.offset == 2
    assert fetch_one(held.wire, topic).high_watermark == 2


def test_latest_does_not_wait_for_ever(held: Held) -> None:
    topic = new_topic(held.wire)
    held.files.hold()
    held.wire.send(produce_request(topic, make_batch(), acks=0), 9)
    parts = [ListOffsetsPartition(0, -1, LATEST)]
    request = ListOffsetsRequest(-1, 0, [ListOffsetsTopic(topic.name, parts)], timeout_ms=1)
    ((part,),) = [each.partitions for each in held.wire.call(request, ListOffsetsResponse, 10).topics]
    assert seen(part) == refused(ErrorCode.REQUEST_TIMED_OUT)


def test_a_disk_that_failed(held: Held) -> None:
    topic = new_topic(held.wire)
    held.files.break_syncs(OSError(5, "EIO"))
    assert produce(held.wire, topic, make_batch()).error_code == ErrorCode.KAFKA_STORAGE_ERROR
    for timestamp in (LATEST, EARLIEST, 0):
        assert offset_at(held.wire, topic, timestamp) == refused(ErrorCode.KAFKA_STORAGE_ERROR)


def test_a_log_that_cannot_be_searched(held: Held) -> None:
    topic = new_topic(held.wire)
    produce(held.wire, topic, make_batch())

    def tear() -> None:
        log = held.broker.broker.replicas.by_name[topic.name][0].log  # type: ignore[union-attr]
        path = Path(log.directory) / "00000000000000000000.log"
        content = bytearray(path.read_bytes())
        content[60] = 9  # the record count
        path.write_bytes(content)

    held.broker.on_loop(tear)
    assert offset_at(held.wire, topic, 0) == refused(ErrorCode.KAFKA_STORAGE_ERROR)
    assert offset_at(held.wire, topic, LATEST).code == 0


def test_a_restart_raises_the_epoch_before_any_append(tmp_path: Path, oracle: bool) -> None:
    if oracle:
        pytest.skip("restarts a broker of ours")
    with InProcess(tmp_path) as broker, broker.connect() as wire:
        full, empty = new_topic(wire), new_topic(wire)
        produce(wire, full, make_batch())
    with InProcess(tmp_path) as broker, broker.connect() as wire:
        epoch = offset_at(wire, full, LATEST).epoch
        assert epoch > 0
        assert offset_at(wire, full, LATEST) == Seen(1, -1, epoch)
        assert offset_at(wire, full, EARLIEST) == Seen(0, -1, 0)
        assert offset_at(wire, full, 0).epoch == 0
        assert offset_at(wire, empty, EARLIEST).epoch == epoch


def test_a_partition_without_a_leader(held: Held) -> None:
    topic = new_topic(held.wire)

    def resign() -> None:
        held.broker.broker.replicas.by_name[topic.name][0] = None

    held.broker.on_loop(resign)
    assert offset_at(held.wire, topic, LATEST) == refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
