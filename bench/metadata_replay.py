"""How fast metadata is replayed and snapshots are made: `python -m bench.metadata_replay [TOPICS] [PARTITIONS]`.

Prints one line per measurement. One process, nothing of the disk.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from moldau.core.metadata import brokers, creation, records
from moldau.core.metadata.brokers import Registration
from moldau.core.metadata.creation import Defaults, NewTopic
from moldau.core.metadata.features import SUPPORTED
from moldau.core.metadata.image import ClusterImage
from moldau.core.metadata.loader import Loader, dump
from moldau.core.quorum import snapshot
from moldau.core.quorum.entries import data_batch, read_entries
from moldau.core.quorum.snapshot import SnapshotId
from moldau.core.quorum.voters import STATIC_VOTERS, VoterSet


def timed(what: str, count: int, unit: str, work: Callable[[], object]) -> object:
    """Run `work`, print what it cost per `unit`."""
    start = time.perf_counter()
    result = work()
    taken = time.perf_counter() - start
    print(f"{what:<44}{taken * 1000:9.1f} ms {taken / count * 1e6:9.2f} us per {unit} {count / taken:12,.0f}/s")
    return result


def make(topics: int, partitions: int) -> list[bytes]:
    """The batches of a log in which a broker registers and topics are made one by one."""
    image = ClusterImage(cluster_id="bench")
    registration = Registration(1, bytes(16), (), SUPPORTED, (b"d" * 16,))
    batches: list[bytes] = []
    numbers = iter(range(1, 1 << 62))

    def random(size: int) -> bytes:
        return next(numbers).to_bytes(size, "big")

    def append(image: ClusterImage, new: list[object]) -> ClusterImage:
        base = image.offset + 1
        batches.append(data_batch([records.encode(record) for record in new], base, 1, 1000))
        loader = Loader(image)
        loader.replay(new, base + len(new) - 1, 1, 1000)
        return loader.image()

    image = append(image, brokers.decide_registration(registration, 0).records)
    for number in range(topics):
        topic = NewTopic(f"topic-{number}", partitions, 1)
        image = append(image, creation.decide_creation(image, [topic], Defaults(), random).records)
    return batches


def replay(batches: list[bytes]) -> ClusterImage:
    loader = Loader(ClusterImage())
    for batch in batches:
        for entry in read_entries(batch):
            values = [records.decode(value) for value in entry.values]
            loader.replay(values, entry.last_offset, entry.epoch, entry.timestamp_ms)
    return loader.image()


def main() -> None:
    topics = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    partitions = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    batches = timed(f"create {topics} topics one by one", topics, "topic", lambda: make(topics, partitions))
    assert isinstance(batches, list)
    count = topics * (partitions + 1) + 2
    image = timed("replay the log", count, "record", lambda: replay(batches))
    assert isinstance(image, ClusterImage)
    id = SnapshotId(image.offset + 1, 1)
    values = [records.encode(record) for record in dump(image)]
    timed("encode a snapshot's records", count, "record", lambda: [records.encode(record) for record in dump(image)])
    content = timed(
        "make its batches",
        count,
        "record",
        lambda: b"".join(snapshot.encode(id, VoterSet((), STATIC_VOTERS), values, 0, 0)),
    )
    assert isinstance(content, bytes)
    timed("replay the snapshot", count, "record", lambda: replay([content]))
    claims = timed(
        "claim every partition", topics * partitions, "partition", lambda: list(brokers.decide_claims(image, 1))
    )
    assert isinstance(claims, list)


if __name__ == "__main__":
    main()
