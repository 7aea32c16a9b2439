"""Lines per source and severity per minute, each line once, across restarts. Pure: the caller reads and writes.

The state is one value: what was counted, the offset to go on with in each partition, and the last position
in each followed file. All three change together, record by record, so a state that was saved is true of the
topic up to its offsets and of nothing behind them. A record whose offset lies before that was counted already,
whoever delivers it again: another member, or the same one after a restart.

A **run** is one process: `begin_run` says where each partition ended when it began, so that what an earlier
run left uncounted is told apart from what this one read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from moldau.cli.follow import Position, position_of
from moldau.cli.severity import minute_of, severity_of

# Minutes kept for each source. Older ones stay in the totals.
MOST_MINUTES = 240
# Files, rotated ones included, whose position is kept.
MOST_POSITIONS = 10_000

Severities = dict[str, int]


class Saved(msgspec.Struct):
    """The state as it is stored, beside the topic it is true of."""

    cluster_id: str
    topic_id: str
    nexts: dict[int, int]
    totals: dict[str, Severities]
    minutes: dict[str, dict[int, Severities]]
    positions: dict[str, Position]


@dataclass(slots=True)
class Counts:
    """`totals` and `minutes` are of all runs; the rest of the numbers of this one."""

    nexts: dict[int, int] = field(default_factory=dict)
    totals: dict[str, Severities] = field(default_factory=dict)
    minutes: dict[str, dict[int, Severities]] = field(default_factory=dict)
    run: dict[str, Severities] = field(default_factory=dict)
    counted: int = 0
    caught_up: int = 0
    repeated: int = 0
    foreign: int = 0
    _began: dict[int, int] = field(default_factory=dict)
    _positions: dict[str, Position] = field(default_factory=dict)
    # The last record of each generation since _positions was last asked for: one position, not one for each record.
    _latest: dict[bytes, Record] = field(default_factory=dict)

    def begin_run(self, ends: Mapping[int, int]) -> int:
        """Where the partitions end now; returns how many records earlier runs left to count."""
        self._began = dict(ends)
        return sum(max(0, end - self.nexts.get(partition, 0)) for partition, end in ends.items())

    def count(self, partition: int, offset: int, record: Record) -> bool:
        """Count a record; False if it was counted before. What nobody followed is passed over, but once as well."""
        if offset < self.nexts.get(partition, 0):
            self.repeated += 1
            return False
        self.nexts[partition] = offset + 1
        key, value, header, timestamp_ms = record
        if header is None:
            self.foreign += 1
            return True
        self._latest[header.partition(b" ")[0]] = record
        minute, severity = minute_of(value, timestamp_ms), severity_of(value)
        _add(self.totals.setdefault(key, {}), severity)
        of_source = self.minutes.setdefault(key, {})
        _add(of_source.setdefault(minute, {}), severity)
        if len(of_source) > 2 * MOST_MINUTES:
            self.minutes[key] = dict(sorted(of_source.items())[-MOST_MINUTES:])
        if offset < self._began.get(partition, 0):
            self.caught_up += 1
        else:
            self.counted += 1
            _add(self.run.setdefault(key, {}), severity)
        return True

    def positions(self) -> dict[str, Position]:
        """The last position in each generation, up to `nexts`."""
        for key, value, header, timestamp_ms in self._latest.values():
            if header is not None and (known := position_of(key, value, header, timestamp_ms)) is not None:
                self._positions[known[0]] = known[1]
        self._latest.clear()
        if len(self._positions) > MOST_POSITIONS:
            by_age = sorted(self._positions.items(), key=lambda item: item[1].seen_ms)
            self._positions = dict(by_age[-MOST_POSITIONS:])
        return self._positions

    def latest_minutes(self) -> Iterator[tuple[str, int, Severities]]:
        """(source, its latest minute, the lines in it)"""
        for source, of_source in self.minutes.items():
            minute = max(of_source)
            yield source, minute, of_source[minute]

    def encode(self, cluster_id: str, topic_id: str) -> bytes:
        saved = Saved(
            cluster_id=cluster_id,
            topic_id=topic_id,
            nexts=self.nexts,
            totals=self.totals,
            minutes=self.minutes,
            positions=self.positions(),
        )
        return msgspec.json.encode(saved)

    @classmethod
    def decode(cls, content: bytes, cluster_id: str, topic_id: str) -> Counts:
        """The state that was saved; an empty one if it is of another topic. Raises ValueError for what is no state."""
        saved = msgspec.json.decode(content, type=Saved)
        if (saved.cluster_id, saved.topic_id) != (cluster_id, topic_id):
            return cls()
        return cls(nexts=saved.nexts, totals=saved.totals, minutes=saved.minutes, _positions=saved.positions)


# key, value, position header (None where a record has none), timestamp in ms
Record = tuple[str, bytes, bytes | None, int]


def _add(severities: Severities, severity: str) -> None:
    severities[severity] = severities.get(severity, 0) + 1
