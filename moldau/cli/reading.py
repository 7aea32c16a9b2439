"""What `consume` reads: partitions or a group's share, from where, and until when. It prints nothing.

Without a group the partitions are assigned by hand and nothing is committed. With one, a batch's offsets
are stored only when `done` is called for it, and committed when the reader closes or every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from moldau.cli.errors import CliError, Exit
from moldau.cli.output import message
from moldau.cli.start import From, Start, parse_start
from moldau.client.config import Connection
from moldau.client.errors import NotFound

# Most messages handled at once, and how long one wait for the first of them lasts (a Ctrl-C waits as long).
_BATCH = 10_000
_POLL_S = 0.2
_UNKNOWN_TOPIC = frozenset({3, 100})

Key = tuple[str, int]


class Reader:
    """Batches of messages. Use as a context manager: leaving it leaves the group."""

    def __init__(
        self,
        connection: Connection,
        topics: Sequence[str],
        *,
        start: str,
        stop: bool,
        count: int | None,
        group: str | None,
        partitions: Sequence[int],
    ) -> None:
        self._start = _parsed(start)
        if group is not None:
            _check_group_use(self._start, partitions)
        self._connection = connection
        self._topics = topics
        self._partitions = frozenset(partitions)
        self._group = group
        self._left = count
        self._stop = stop
        self._ends: dict[Key, int] = {}
        # Partitions still to read to their ends; None while a group has not told us ours.
        self._open: set[Key] | None = None

    def __enter__(self) -> Self:
        self._consumer = self._make_consumer()
        try:
            self._begin()
        except BaseException:
            self._consumer.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def batches(self) -> Iterator[list[Message]]:
        """Batches until the count is reached or, with `stop`, every partition is at its end; else for ever."""
        while self._left != 0 and (not self._stop or self._open is None or self._open):
            first = self._consumer.poll(_POLL_S)
            if first is None:
                continue
            room = _BATCH if self._left is None else min(_BATCH, self._left)
            messages = [first, *self._consumer.consume(room - 1, 0)] if room > 1 else [first]
            batch = self._records(messages)
            if self._left is not None:
                self._left -= len(batch)
            if batch:
                yield batch

    def done(self, batch: Sequence[Message]) -> None:
        """The batch is out: its offsets may be committed."""
        if self._group is None:
            return
        nexts = {(record.topic(), record.partition()): record.offset() for record in batch}
        self._consumer.store_offsets(
            offsets=[TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in nexts.items()]  # type: ignore[operator, arg-type]
        )

    def _make_consumer(self) -> Consumer:
        settings: dict[str, Any] = {
            "enable.partition.eof": self._stop,
            "enable.auto.offset.store": False,
            "enable.auto.commit": self._group is not None,
            "group.id": self._group or "moldau-consume",
            "auto.offset.reset": "latest" if self._start.kind is From.END else "earliest",
            "error_cb": _on_error,
            # Bulk: a deep queue, and no second of waiting each time it was full. 64 MB (librdkafka's default) bound it.
            "queued.min.messages": 1_000_000,
            "fetch.queue.backoff.ms": 10,
        }
        if self._stop:
            # Leaving waits for the fetch that is under way.
            settings["fetch.wait.max.ms"] = 50
        return self._connection.consumer(settings)

    def _begin(self) -> None:
        keys = [key for topic in self._topics for key in self._keys(topic)]
        bounds = {key: self._bounds(key) for key in keys} if self._stop or self._group is None else {}
        if self._stop:
            self._ends = {key: end for key, (_, end) in bounds.items()}
        if self._group is not None:
            self._consumer.subscribe(list(self._topics), on_assign=self._on_assign)
            return
        starts = self._starts(bounds)
        self._open = {key for key in keys if starts[key] < self._ends.get(key, starts[key] + 1)}
        self._consumer.assign(
            [TopicPartition(topic, partition, starts[topic, partition]) for topic, partition in self._open]
        )

    def _keys(self, topic: str) -> list[Key]:
        known = self._consumer.list_topics(topic, timeout=self._connection.timeout_s).topics[topic]
        if known.error is not None:
            if known.error.code() in _UNKNOWN_TOPIC:
                raise NotFound(f"topic {topic} is not there")
            raise KafkaException(known.error)
        missing = self._partitions - set(known.partitions)
        if missing:
            raise NotFound(f"topic {topic} has no partition {min(missing)}, only 0 to {len(known.partitions) - 1}")
        return [(topic, partition) for partition in sorted(self._partitions or known.partitions)]

    def _bounds(self, key: Key) -> tuple[int, int]:
        bounds: tuple[int, int] = self._consumer.get_watermark_offsets(
            TopicPartition(*key), timeout=self._connection.timeout_s
        )
        return bounds

    def _starts(self, bounds: Mapping[Key, tuple[int, int]]) -> dict[Key, int]:
        if self._start.kind is not From.TIME:
            return {key: self._start.offset(*bound) for key, bound in bounds.items()}
        asked = [TopicPartition(topic, partition, self._start.number) for topic, partition in bounds]
        found = self._consumer.offsets_for_times(asked, timeout=self._connection.timeout_s)
        # Nothing at or after that time: the broker answers -1.
        ats = {(at.topic, at.partition): at.offset for at in found}
        return {key: ats[key] if ats[key] >= 0 else bounds[key][1] for key in bounds}

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        assigned = {(at.topic, at.partition) for at in partitions}
        self._open = {key for key in assigned if self._ends.get(key, 1) > 0}

    def _records(self, messages: Sequence[Message]) -> list[Message]:
        records = []
        for each in messages:
            error = each.error()
            if error is None:
                if not self._stop or self._before_end(each):
                    records.append(each)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._close(each)
            else:
                raise KafkaException(error)
        return records

    def _before_end(self, record: Message) -> bool:
        """Whether the record was there when we began; the last such one closes its partition."""
        offset, end = record.offset() or 0, self._ends[record.topic() or "", record.partition() or 0]
        if offset >= end - 1:
            self._close(record)
        return offset < end

    def _close(self, record: Message) -> None:
        if self._open is not None:
            self._open.discard((record.topic(), record.partition()))


def _parsed(start: str) -> Start:
    try:
        return parse_start(start)
    except ValueError as error:
        raise CliError(f"--offset: {error}", code=Exit.USAGE) from None


def _check_group_use(start: Start, partitions: Sequence[int]) -> None:
    if partitions:
        raise CliError("a group hands out the partitions: --partition goes without --group", code=Exit.USAGE)
    if start.kind not in (From.START, From.END):
        raise CliError("with --group, --offset is start or end", code=Exit.USAGE)


def _on_error(error: KafkaError) -> None:
    message(f"warning: {error.str()}")
