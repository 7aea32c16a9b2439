"""What a coordinator shard is, and what it needs: plain values and two narrow protocols.

A shard decides a request against its state into a `Decision`: the records to append and the answers to give.
The runtime appends the records, replays them into the shard at once, and lets the answers go when the log has
committed them (decision D4). What never lives here: clocks, logs, any rule of a particular coordinator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending

T = TypeVar("T")


class Moment(NamedTuple):
    """Now: monotonic milliseconds for sessions and waits, wall milliseconds for what is stored."""

    monotonic_ms: int
    wall_ms: int


class StoredRecord(NamedTuple):
    """One record of a shard's log; a value of None is a tombstone."""

    key: bytes
    value: bytes | None


@dataclass(slots=True)
class Decision:
    """What comes of one request or one timer."""

    records: list[StoredRecord] = field(default_factory=list)
    replies: list[tuple[Pending[Any], Any]] = field(default_factory=list)
    # Answers that show what is in the log wait until all of it is committed, also when they append nothing.
    after_commit: bool = False

    def reply(self, waiter: Pending[T | ErrorCode], answer: T | ErrorCode) -> None:
        """Give `answer` to `waiter` once the records of this decision are committed."""
        self.replies.append((waiter, answer))


class ShardLog(Protocol):
    """What a shard needs of its partition."""

    @property
    def end_offset(self) -> int:
        """Next offset to assign."""

    @property
    def committed_offset(self) -> int:
        """Everything below it survives."""

    def append(self, batch: bytes) -> int:
        """Append one batch; returns its base offset. Raises KafkaError when the log cannot take it."""

    def when_committed(self, end_offset: int, then: Callable[[ErrorCode], None]) -> None:
        """Call `then` exactly once: with NONE as soon as `committed_offset >= end_offset`, else with the error.

        A log that loses what was appended fails the waits above its new end before it assigns those offsets again.
        """

    def batches(self) -> Iterator[bytes]:
        """All stored batches, oldest first."""


class Shard(Protocol):
    """What the runtime asks of a state machine."""

    def load(self, batch: bytes) -> int:
        """Replay one stored batch; returns how many records it held. Never raises for bytes it cannot read."""

    def replay(self, record: StoredRecord) -> None:
        """Apply one record that was just appended."""

    def loaded(self, now: Moment) -> Decision:
        """Everything stored was replayed: start timers."""

    def next_deadline_ms(self) -> int | None:
        """When the next timer is due, on the monotonic clock."""

    def expire(self, now: Moment) -> Decision | None:
        """Carry out one due timer; None when nothing is due."""

    def unload(self) -> list[Pending[Any]]:
        """Give up; returns everyone who still waits."""
