"""The quickstart's way of the data: followed lines into a topic, a group of two members that counts them.

    files -> Follower -> producer (idempotent, keyed by file) -> topic -> two members of a group -> Counts

One thread follows and produces; each member has its own, and takes the lock of the counts for a batch at a
time. The state is saved beside the broker's data every second or so; how it and the topic agree after a
crash is said in `counts` and `follow`. The group's own commits are for people who look at it: each member
starts its partitions where the state says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from moldau.cli.counts import Counts, Record
from moldau.cli.errors import CliError
from moldau.cli.follow import HEADER, Chunk, Position, position_header, position_of
from moldau.client.admin import Cluster
from moldau.client.config import Connection
from moldau.core.base.files import OsFiles

GROUP = "quickstart"
MEMBERS = 2
PARTITIONS = 4
STATE_NAME = "quickstart.json"

Headers = list[tuple[str, str | bytes | None]]

_BATCH = 2_000
_POLL_S = 0.1
_SAVE_EVERY_S = 1.0
_TOPIC_ALREADY_EXISTS = 36
# No progress of the members for this long, and the wait for them is given up.
_STALLED_S = 60.0


@dataclass(slots=True)
class Progress:
    """What the pipeline has done in this run."""

    read: dict[str, int] = field(default_factory=dict)
    backlog: int = 0

    @property
    def lines_read(self) -> int:
        return sum(self.read.values())


class Pipeline:
    """Start it, feed it chunks, finish it. `counts` is read under `lock`."""

    def __init__(self, connection: Connection, topic: str, data_dir: Path) -> None:
        self.progress = Progress()
        self.lock = threading.Lock()
        self.topic = topic
        self._connection = connection
        self._state_path = data_dir / STATE_NAME
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._members: list[threading.Thread] = []
        self._saved_at = time.monotonic()
        self._cluster = Cluster(connection)
        self._ids = _identity(self._cluster, topic)
        self.counts = self._load()
        ends = _ends(self._cluster, topic)
        self.progress.backlog = self.counts.begin_run(ends)
        self.positions = {**self.counts.positions(), **self._uncounted(ends)}
        self._producer = connection.producer(
            {
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 20,
                "partitioner": "murmur2_random",
                # A line is never given up while the broker lives; if it does not, we stop and read it again next time.
                "message.timeout.ms": 0,
                "delivery.report.only.error": True,
                "on_delivery": self._on_delivery,
            }
        )

    def start(self) -> None:
        for number in range(1, MEMBERS + 1):
            thread = threading.Thread(target=self._member, args=(number,), name=f"member-{number}", daemon=True)
            self._members.append(thread)
            thread.start()

    def feed(self, chunks: Iterable[Chunk]) -> None:
        """Produce the lines of the chunks. Waits while the producer's queue is full."""
        produce, topic, read = self._producer.produce, self.topic, self.progress.read
        for chunk in chunks:
            key = chunk.key.encode(errors="surrogateescape")
            for text, start, end in chunk.lines:
                headers: list[tuple[str, str | bytes | None]] = [
                    (HEADER, position_header(chunk.generation, start, end))
                ]
                while True:
                    try:
                        produce(topic, text, key, headers=headers)
                        break
                    except BufferError:
                        self._producer.poll(0.05)
                        self.check()
            read[source_name(chunk)] = read.get(source_name(chunk), 0) + len(chunk.lines)
            self._producer.poll(0)

    def serve(self) -> None:
        """What has to happen now and then: delivery errors, the saved state. Raises what a member died of."""
        self._producer.poll(0)
        self.check()
        if time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            self._save()

    def lag(self) -> int:
        """Lines of this run and earlier ones that are not counted yet."""
        with self.lock:
            return self.progress.backlog + self.progress.lines_read - self.counts.counted - self.counts.caught_up

    def flush(self) -> None:
        """Wait until every line is acknowledged."""
        while self._producer.flush(0.2):
            self.check()

    def drain(self) -> bool:
        """Flush, then wait until the members have counted everything; False if they stall before."""
        self.flush()
        ends = _ends(self._cluster, self.topic)
        moved, last = time.monotonic(), -1
        while (left := self._left(ends)) > 0:
            if left != last:
                moved, last = time.monotonic(), left
            elif time.monotonic() - moved > _STALLED_S:
                return False
            time.sleep(0.01)
            self.serve()
        return True

    def close(self) -> None:
        """Let the members commit and leave, and save what is counted."""
        self._stop.set()
        for member in self._members:
            member.join()
        self._save()

    def check(self) -> None:
        """Raise what went wrong in a thread of ours."""
        if self._failure is not None:
            raise self._failure

    # The state on the disk.

    def _load(self) -> Counts:
        try:
            return Counts.decode(self._state_path.read_bytes(), *self._ids)
        except FileNotFoundError:
            return Counts()
        except ValueError:
            # The topic holds everything: without the state it is counted again from its first record.
            return Counts()

    def _save(self) -> None:
        with self.lock:
            content = self.counts.encode(*self._ids)
        OsFiles().write_file(str(self._state_path), content)
        self._saved_at = time.monotonic()

    def _uncounted(self, ends: Mapping[int, int]) -> dict[str, Position]:
        """Positions of the lines that are in the topic, but behind the state: nobody has counted them yet."""
        found: dict[str, Position] = {}
        open_partitions = {partition for partition, end in ends.items() if end > self.counts.nexts.get(partition, 0)}
        if not open_partitions:
            return found
        consumer = self._connection.consumer(_consumer_settings("quickstart-positions", {"enable.auto.commit": False}))
        consumer.assign(self._at_nexts(open_partitions))
        while open_partitions:
            for message in consumer.consume(_BATCH, _POLL_S):
                error = message.error()
                partition, offset = message.partition() or 0, message.offset() or 0
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    open_partitions.discard(partition)
                    continue
                key, value, header, timestamp_ms = _record(message)
                if header is not None and (known := position_of(key, value, header, timestamp_ms)) is not None:
                    found[known[0]] = known[1]
                if offset >= ends.get(partition, 0) - 1:
                    open_partitions.discard(partition)
        consumer.close()
        return found

    def _at_nexts(self, partitions: Iterable[int]) -> list[TopicPartition]:
        nexts = self.counts.nexts
        return [
            TopicPartition(self.topic, partition, nexts.get(partition, OFFSET_BEGINNING)) for partition in partitions
        ]

    # The members of the group.

    def _member(self, number: int) -> None:
        try:
            self._count_until_stopped(number)
        except BaseException as error:  # noqa: BLE001 - the border of the thread: the main one raises it
            self._failure = self._failure or error

    def _count_until_stopped(self, number: int) -> None:
        # Static members: the next run takes its place again at once and waits for no session of this one.
        settings = {"client.id": f"quickstart-{number}", "group.instance.id": f"quickstart-{number}"}
        consumer = self._connection.consumer(_consumer_settings(GROUP, settings))
        try:
            consumer.subscribe([self.topic], on_assign=self._on_assign)
            while not self._stop.is_set():
                messages = consumer.consume(_BATCH, _POLL_S)
                if messages:
                    self._count(messages)
        finally:
            consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self.lock:
            consumer.assign(self._at_nexts(at.partition for at in partitions))

    def _count(self, messages: Sequence[Message]) -> None:
        with self.lock:
            for message in messages:
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        continue
                    raise KafkaException(error)
                self.counts.count(message.partition() or 0, message.offset() or 0, _record(message))

    def _left(self, ends: Mapping[int, int]) -> int:
        with self.lock:
            return sum(max(0, end - self.counts.nexts.get(partition, 0)) for partition, end in ends.items())

    def _on_delivery(self, error: KafkaError | None, _message: object) -> None:
        if error is not None and self._failure is None:
            self._failure = CliError(f"a line could not be written to {self.topic}: {error.str()}")


def source_name(chunk: Chunk) -> str:
    """The file's path as text, also where its bytes are no UTF-8."""
    return chunk.key.encode(errors="backslashreplace").decode()


def _record(message: Message) -> Record:
    header: bytes | None = None
    for pair in message.headers() or ():
        if pair[0] == HEADER:
            header = pair[1]  # type: ignore[assignment]
    key, value = message.key() or b"", message.value() or b""
    return key.decode(errors="backslashreplace"), value, header, message.timestamp()[1]


def _consumer_settings(group: str, more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "group.id": group,
        "auto.offset.reset": "earliest",
        "auto.commit.interval.ms": 1_000,
        "session.timeout.ms": 10_000,
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 100,
        "fetch.queue.backoff.ms": 10,
        **more,
    }


def _identity(cluster: Cluster, topic: str) -> tuple[str, str]:
    """(cluster id, topic id) of the topic, which is made if it is not there."""
    try:
        cluster.create_topic(topic, PARTITIONS, -1, {})
    except KafkaException as error:
        if error.args[0].code() != _TOPIC_ALREADY_EXISTS:
            raise
    (found,) = cluster.topics([topic])
    return cluster.id(), found.id


def _ends(cluster: Cluster, topic: str) -> dict[int, int]:
    (found,) = cluster.topics([topic])
    offsets = cluster.offsets([(topic, partition.id) for partition in found.partitions], latest=True)
    return {partition: end for (_, partition), end in offsets.items()}
