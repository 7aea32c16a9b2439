"""How fast a shard of groups is replayed: `python -m bench.group_replay [--commits N] [--keys N] [--per-batch N]`.

Replays a log of offset commits, as a consumer that commits all the time leaves it, and prints records a second.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence

from moldau.core.base.ids import ZERO_UUID
from moldau.core.coordinators import batches
from moldau.core.coordinators.group import records
from moldau.core.coordinators.group.config import GroupConfig
from moldau.core.coordinators.group.records import Offset, OffsetKey
from moldau.core.coordinators.group.shard import GroupShard
from moldau.core.coordinators.shard import Moment, StoredRecord

DISTINCT_BATCHES = 2000
WALL_MS = 1_700_000_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commits", type=int, default=1_000_000, help="records to replay")
    parser.add_argument("--keys", type=int, default=1000, help="different partitions they are for")
    parser.add_argument("--per-batch", type=int, default=1, help="records in each batch")
    options = parser.parse_args(arguments)
    stored = made(options.keys, options.per_batch)
    rounds = options.commits // (len(stored) * options.per_batch)
    replayed = 0
    shard = GroupShard(GroupConfig(), lambda: "")
    began = time.perf_counter()
    for batch in itertools.chain.from_iterable(itertools.repeat(stored, max(rounds, 1))):
        replayed += shard.load(batch)
    shard.loaded(Moment(0, WALL_MS))
    spent = time.perf_counter() - began
    print(f"{replayed} commits to {len(shard.offsets)} partitions in {spent:.2f} s: {replayed / spent:,.0f} records/s")


def made(keys: int, per_batch: int) -> list[bytes]:
    """Batches of commits that go round the keys."""
    numbers = itertools.cycle(range(keys))
    stored = []
    for batch in range(max(DISTINCT_BATCHES, keys // per_batch)):
        commits = []
        for number in itertools.islice(numbers, per_batch):
            key = OffsetKey(f"group-{number % 10}", "orders.received", number)
            offset = Offset(1_000_000 + batch, 3, "", WALL_MS, topic_id=ZERO_UUID)
            commits.append(StoredRecord(records.offset_key(key), records.offset_value(offset)))
        stored.append(batches.build(commits, WALL_MS))
    return stored


if __name__ == "__main__":
    main()
