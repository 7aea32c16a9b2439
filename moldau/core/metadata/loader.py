"""Replay: records into a draft, by their type; and whole stored batches into an image.

Metadata transactions (KIP-868) are held back to their end here: what lies between begin and end takes effect
together or, after an abort, never. This release writes no transactions, Apache Kafka does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moldau.core.base.errors import CorruptData
from moldau.core.metadata import brokers, configs, features, kept, producer_ids, topics
from moldau.core.metadata.decision import Record
from moldau.core.metadata.draft import ImageDraft
from moldau.core.metadata.image import ClusterImage
from moldau.core.protocol.stored.metadata import AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord

_AREAS = (features, brokers, topics, configs, producer_ids, kept)

_REPLAY: dict[type, Callable[[ImageDraft, Any], None]] = {
    record: replay for area in _AREAS for record, replay in area.REPLAY.items()
}


def replay(draft: ImageDraft, record: Record) -> None:
    """Let one record change the draft: the only way anything does. Raises CorruptData for one that cannot."""
    handler = _REPLAY.get(type(record))
    if handler is None:
        raise CorruptData(f"metadata holds a {type(record).__name__} where none can be")
    handler(draft, record)


def dump(image: ClusterImage) -> Iterator[Record]:
    """Records that make the image again, in an order in which they can be replayed."""
    for area in _AREAS:
        yield from area.dump(image)


class Loader:
    """Stored batches into one image, at the cost of one draft."""

    def __init__(self, base: ClusterImage) -> None:
        self._draft = ImageDraft(base)
        self._offset = base.offset
        self._epoch = base.epoch
        self._timestamp_ms = base.timestamp_ms
        self._transaction: list[Record] | None = None

    def replay(self, records: Iterable[Record], offset: int, epoch: int, timestamp_ms: int) -> None:
        """Take in a batch whose last offset is `offset`. Raises CorruptData."""
        for record in records:
            self._take(record)
        self._offset = offset
        self._epoch = epoch
        self._timestamp_ms = max(self._timestamp_ms, timestamp_ms)

    def image(self) -> ClusterImage:
        """The image as of the last batch. The loader is used up. A transaction left open never happened."""
        return self._draft.freeze(self._offset, self._epoch, self._timestamp_ms)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended: whoever writes next must abort it first."""
        return self._transaction is not None

    def _take(self, record: Record) -> None:
        if isinstance(record, BeginTransactionRecord):
            self._transaction = []
        elif isinstance(record, AbortTransactionRecord):
            self._transaction = None
        elif isinstance(record, EndTransactionRecord):
            held, self._transaction = self._transaction or [], None
            for one in held:
                replay(self._draft, one)
        elif self._transaction is not None:
            self._transaction.append(record)
        else:
            replay(self._draft, record)
