"""Answers that wait are completed once all their parts are settled."""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.produce import PartitionProduceResponse, ProduceResponse
from moldau.core.replication.waiters import Callback, ProducePending


def test_a_produce_answer_leaves_when_its_last_partition_is_settled() -> None:
    response = ProduceResponse()
    pending = ProducePending(response, deadline_ms=0)
    heard: list[ProduceResponse] = []
    pending.then(heard.append)
    parts = [PartitionProduceResponse(0, base_offset=5), PartitionProduceResponse(1, base_offset=9)]
    pending.remaining = 2
    pending.settled(parts[0], ErrorCode.NONE)
    assert heard == []
    pending.settled(parts[1], ErrorCode.KAFKA_STORAGE_ERROR)
    assert heard == [response]
    assert (parts[0].error_code, parts[0].base_offset) == (0, 5)
    assert (parts[1].error_code, parts[1].base_offset) == (ErrorCode.KAFKA_STORAGE_ERROR, -1)


def test_a_late_answer_keeps_its_offset_because_the_batch_is_in_the_log() -> None:
    pending = ProducePending(ProduceResponse(), deadline_ms=0)
    pending.remaining = 1
    part = PartitionProduceResponse(0, base_offset=5)
    pending.settled(part, ErrorCode.REQUEST_TIMED_OUT)
    assert (part.error_code, part.base_offset) == (ErrorCode.REQUEST_TIMED_OUT, 5)


def test_a_callback_is_told_the_outcome() -> None:
    told: list[ErrorCode] = []
    Callback(told.append, deadline_ms=0).settled(None, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert told == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
