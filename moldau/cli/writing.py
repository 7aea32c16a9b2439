"""What `produce` writes: lines or JSON objects as records, in bulk. It reads no file."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException

from moldau.cli.errors import CliError, Exit
from moldau.client.config import Connection
from moldau.client.errors import NotFound

_UNKNOWN_TOPIC = frozenset({3, 5, 100})
_ANY_PARTITION = -1

# key, value, headers
Record = tuple[bytes | None, bytes | None, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """How lines become records. `form`: lines, or ndjson as `consume` writes it."""

    key: str | None = None
    key_separator: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    partition: int | None = None
    compression: str | None = None
    acks: str = "all"
    tombstones: bool = False
    form: str = "lines"


class Writer:
    """Records into one topic. `records` and `bytes` (of values) count what was taken in."""

    def __init__(self, connection: Connection, topic: str, shape: Shape) -> None:
        self.records = 0
        self.bytes = 0
        self._failed: KafkaError | None = None
        self._topic = topic
        self._key = shape.key.encode() if shape.key is not None else None
        self._separator = shape.key_separator.encode() if shape.key_separator is not None else None
        self._headers = list(shape.headers) or None
        self._partition = shape.partition if shape.partition is not None else _ANY_PARTITION
        self._tombstones = shape.tombstones
        self._parse: Callable[[bytes], Record] = self._from_json if shape.form == "ndjson" else self._from_line
        self._producer = connection.producer(
            {
                "acks": shape.acks,
                "enable.idempotence": shape.acks == "all",
                "compression.type": shape.compression or "none",
                "linger.ms": 20,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 500_000,
                "delivery.report.only.error": True,
                "on_delivery": self._on_delivery,
            }
        )
        self._check_topic(connection.timeout_s, shape.partition)

    def write(self, lines: Sequence[bytes]) -> None:
        """Raises CliError for a line that is no record, KafkaException for a record the cluster refused."""
        produce, parse = self._producer.produce, self._parse
        for line in lines:
            key, value, headers = parse(line)
            while True:
                try:
                    produce(self._topic, value, key, self._partition, headers=headers)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self.records += 1
            self.bytes += len(value or b"")
        self._producer.poll(0)
        self._raise_failed()

    def flush(self) -> None:
        """Wait until everything is written or refused. Raises KafkaException."""
        self._producer.flush()
        self._raise_failed()

    def _check_topic(self, timeout_s: float, partition: int | None) -> None:
        known = self._producer.list_topics(self._topic, timeout=timeout_s).topics[self._topic]
        if known.error is None and partition is not None and partition not in known.partitions:
            raise NotFound(f"topic {self._topic} has no partition {partition}, only 0 to {len(known.partitions) - 1}")
        # A topic that the broker is just making for us answers "unknown" once; produce() waits for it.
        if known.error is not None and known.error.code() not in _UNKNOWN_TOPIC:
            raise KafkaException(known.error)

    def _from_line(self, line: bytes) -> Record:
        key, value = self._key, line
        if self._separator is not None:
            key, found, value = line.partition(self._separator)
            if not found:
                raise CliError(f"line {self.records + 1} has no {self._separator.decode()!r} in it", code=Exit.USAGE)
        return key, value if value or not self._tombstones else None, self._headers

    def _from_json(self, line: bytes) -> Record:
        try:
            item = msgspec.json.decode(line)
            headers = [(header["key"], _content(header, "value")) for header in item.get("headers") or ()]
            return _content(item, "key"), _content(item, "value"), headers + (self._headers or []) or None
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise CliError(f"line {self.records + 1} is not a record: {error}", code=Exit.USAGE) from None

    def _on_delivery(self, error: KafkaError | None, _record: object) -> None:
        if error is not None and self._failed is None:
            self._failed = error

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise KafkaException(self._failed)


def _content(item: dict[str, Any], name: str) -> bytes | None:
    if f"{name}_base64" in item:
        return b64decode(item[f"{name}_base64"])
    text = item.get(name)
    if text is None:
        return None
    return text.encode() if isinstance(text, str) else msgspec.json.encode(text)
