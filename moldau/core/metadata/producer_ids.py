"""Producer ids: handed out in blocks, never twice. Decides, and replays its record. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.options import LONG_MAX
from moldau.core.metadata.decision import Decision
from moldau.core.metadata.draft import ImageDraft
from moldau.core.metadata.image import ClusterImage
from moldau.core.protocol.stored.metadata import ProducerIdsRecord

BLOCK = 1000


def decide_block(image: ClusterImage, broker_id: int, broker_epoch: int) -> Decision[range | Refusal]:
    """The next block for a broker. Refused for one that is not registered in that epoch, or when ids ran out."""
    broker = image.brokers.get(broker_id)
    if broker is None:
        return Decision([], Refusal(ErrorCode.BROKER_ID_NOT_REGISTERED, f"broker {broker_id} is not registered"))
    if broker.epoch != broker_epoch:
        text = f"broker {broker_id} is registered in epoch {broker.epoch}, not {broker_epoch}"
        return Decision([], Refusal(ErrorCode.STALE_BROKER_EPOCH, text))
    first = image.next_producer_id
    if first > LONG_MAX - BLOCK:
        return Decision([], Refusal(ErrorCode.UNKNOWN_SERVER_ERROR, "there are no producer ids left"))
    record = ProducerIdsRecord(broker_id=broker_id, broker_epoch=broker_epoch, next_producer_id=first + BLOCK)
    return Decision([record], range(first, first + BLOCK))


def _replay(draft: ImageDraft, record: ProducerIdsRecord) -> None:
    draft.next_producer_id = max(draft.next_producer_id, record.next_producer_id)


REPLAY: dict[type, Callable[[ImageDraft, Any], None]] = {ProducerIdsRecord: _replay}


def dump(image: ClusterImage) -> Iterator[ProducerIdsRecord]:
    """The record that makes the image's next producer id again; none while no block was given out."""
    if image.next_producer_id:
        yield ProducerIdsRecord(broker_id=-1, broker_epoch=-1, next_producer_id=image.next_producer_id)
