"""Producer ids: blocks that never overlap."""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.options import LONG_MAX
from moldau.core.metadata import producer_ids
from moldau.core.protocol.stored.metadata import ProducerIdsRecord
from tests.support.images import EMPTY, replayed, with_brokers


def test_blocks_follow_each_other() -> None:
    image = with_brokers()
    epoch = image.brokers[1].epoch
    first = producer_ids.decide_block(image, 1, epoch)
    assert first.answer == range(1000)
    image = replayed(image, first.records)
    assert image.next_producer_id == 1000
    assert producer_ids.decide_block(image, 1, epoch).answer == range(1000, 2000)


def test_strangers_get_none() -> None:
    image = with_brokers()
    stale, unknown = producer_ids.decide_block(image, 1, 99).answer, producer_ids.decide_block(image, 2, 0).answer
    assert isinstance(stale, Refusal)
    assert stale.code == ErrorCode.STALE_BROKER_EPOCH
    assert isinstance(unknown, Refusal)
    assert unknown.code == ErrorCode.BROKER_ID_NOT_REGISTERED


def test_the_last_block() -> None:
    image = replayed(with_brokers(), [ProducerIdsRecord(broker_id=1, next_producer_id=LONG_MAX - 5)])
    refused = producer_ids.decide_block(image, 1, image.brokers[1].epoch)
    assert isinstance(refused.answer, Refusal)
    assert refused.records == []


def test_a_dump_keeps_the_next_id() -> None:
    assert list(producer_ids.dump(EMPTY)) == []
    image = replayed(EMPTY, [ProducerIdsRecord(broker_id=1, next_producer_id=7000)])
    assert replayed(EMPTY, list(producer_ids.dump(image))).next_producer_id == 7000
