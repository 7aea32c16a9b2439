"""Did the log keep its promises? Pure: what clients did and saw goes in, what is wrong with it comes out.

A `Send` is one value that one producer sent once, in its own order within a partition. Values are unique. The log is
what a reader finds after all is over. A `Read` is what a consumer saw while it ran. What the checks allow and refuse:

- lost: acknowledged, and not in the log;
- moved: acknowledged with one offset and stored at another;
- invented: in the log, and never sent;
- reordered: two values of a producer stand in the log the other way round. An unacknowledged value of a producer that
  is not idempotent may stand anywhere, or nowhere;
- duplicated: a value of an idempotent producer stands twice;
- gap: offsets are not dense;
- unstable: a consumer saw at an offset what does not stand there now;
- rewound, skipped: a group did not go on between its last acknowledged commit and the last one it tried;
- unread: a record before the group's committed offset that none of its members was ever given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Place = tuple[int, int]  # partition, offset


@dataclass(frozen=True, slots=True)
class Send:
    """`offset`: what the acknowledgement named; None when there was none (failed, or nobody knows)."""

    producer: str
    partition: int
    value: bytes
    offset: int | None
    idempotent: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """A group's commit attempts for one partition: the last that was acknowledged, the largest that was tried."""

    acknowledged: int
    tried: int


Log = Mapping[int, Sequence[tuple[int, bytes]]]  # per partition: offset and value, as read from the start


def problems(sends: Sequence[Send], log: Log, reads: Iterable[tuple[int, int, bytes]] = ()) -> list[str]:
    """Every broken promise, one line each; empty when all is well."""
    found: list[str] = []
    stored = {(partition, offset): value for partition, records in log.items() for offset, value in records}
    places: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for (partition, offset), value in stored.items():
        places[partition, value].append(offset)
    found += gaps(log)
    sent = {(send.partition, send.value) for send in sends}
    found += [
        f"invented: {value!r} at {partition}-{offsets[0]} was never sent"
        for (partition, value), offsets in places.items()
        if (partition, value) not in sent
    ]
    for send in sends:
        found += problems_of(send, places.get((send.partition, send.value), []), stored)
    found += reorderings(sends, places)
    found += [
        f"unstable: {value!r} was read at {partition}-{offset}, where now stands {stored.get((partition, offset))!r}"
        for partition, offset, value in reads
        if stored.get((partition, offset)) != value
    ]
    return found


def gaps(log: Log) -> list[str]:
    """Offsets that do not follow one another."""
    return [
        f"gap: {partition}-{before} is followed by {after}"
        for partition, records in log.items()
        for (before, _), (after, _) in pairwise(records)
        if after != before + 1
    ]


def problems_of(send: Send, offsets: Sequence[int], stored: Mapping[Place, bytes]) -> list[str]:
    """Whether one send was kept, once, where its acknowledgement said."""
    found = []
    if send.offset is not None and not offsets:
        found.append(f"lost: {send.value!r} of {send.producer} was acknowledged at {send.partition}-{send.offset}")
    elif send.offset is not None and stored.get((send.partition, send.offset)) != send.value:
        found.append(f"moved: {send.value!r} was acknowledged at {send.partition}-{send.offset}, stands at {offsets}")
    if send.idempotent and len(offsets) > 1:
        found.append(f"duplicated: {send.value!r} of {send.producer} stands at {send.partition}-{offsets}")
    return found


def reorderings(sends: Sequence[Send], places: Mapping[tuple[int, bytes], Sequence[int]]) -> list[str]:
    """Values of one producer and partition that stand in another order than they were sent."""
    found = []
    last: dict[tuple[str, int], tuple[int, bytes]] = {}
    for send in sends:
        if send.offset is None and not send.idempotent:
            continue
        offsets = places.get((send.partition, send.value))
        if not offsets:
            continue
        key = send.producer, send.partition
        at = send.offset if send.offset is not None and send.offset in offsets else min(offsets)
        before = last.get(key)
        if before is not None and at < before[0]:
            found.append(f"reordered: {send.value!r} stands at {send.partition}-{at}, before {before[1]!r}")
        last[key] = at, send.value
    return found


def group_problems(
    commits: Mapping[int, Commit], resumed: Mapping[int, int], log: Log, reads: Iterable[tuple[int, int, bytes]]
) -> list[str]:
    """`resumed`: the committed offset of each partition that the group finds after the crash (-1: none)."""
    seen = {(partition, offset) for partition, offset, _ in reads}
    found = [
        f"unread: {value!r} at {partition}-{offset} is before the committed {resumed.get(partition, -1)}"
        for partition, records in log.items()
        for offset, value in records
        if offset < resumed.get(partition, -1) and (partition, offset) not in seen
    ]
    for partition, commit in commits.items():
        at = resumed.get(partition, -1)
        if at < commit.acknowledged:
            found.append(f"rewound: partition {partition} resumes at {at}, committed was {commit.acknowledged}")
        if at > commit.tried:
            found.append(f"skipped: partition {partition} resumes at {at}, nobody committed beyond {commit.tried}")
    return found
