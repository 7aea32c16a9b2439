"""A coordinator's log in memory, whose commits and failures a test decides."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from moldau.core.base.errors import ErrorCode, KafkaError

_COUNT_AT = 57
_COUNT = struct.Struct(">i")


class MemoryShardLog:
    """Appends are committed at once, or with `commit()` if `commits_by_itself` is off."""

    def __init__(self, *, commits_by_itself: bool = True) -> None:
        self.stored: list[tuple[int, bytes]] = []  # end offset, batch
        self.end_offset = 0
        self.committed_offset = 0
        self.commits_by_itself = commits_by_itself
        self.refuses: ErrorCode | None = None
        self._waits: list[tuple[int, Callable[[ErrorCode], None]]] = []

    def append(self, batch: bytes) -> int:
        if self.refuses is not None:
            raise KafkaError(self.refuses)
        base_offset = self.end_offset
        self.end_offset += _COUNT.unpack_from(batch, _COUNT_AT)[0]
        self.stored.append((self.end_offset, batch))
        if self.commits_by_itself:
            self.commit()
        return base_offset

    def when_committed(self, end_offset: int, then: Callable[[ErrorCode], None]) -> None:
        if end_offset <= self.committed_offset:
            then(ErrorCode.NONE)
        else:
            self._waits.append((end_offset, then))

    def batches(self) -> Iterator[bytes]:
        return iter([batch for _, batch in self.stored])

    # What tests do to it

    def commit(self, upto: int | None = None) -> None:
        """Everything appended, or all below `upto`, survives from now on."""
        self.committed_offset = self.end_offset if upto is None else upto
        self._settle(ErrorCode.NONE, lambda end_offset: end_offset <= self.committed_offset)

    def lose(self, error: ErrorCode = ErrorCode.KAFKA_STORAGE_ERROR) -> None:
        """What is not committed is gone, and whoever waits for it is told."""
        self.stored = [(end_offset, batch) for end_offset, batch in self.stored if end_offset <= self.committed_offset]
        self.end_offset = self.committed_offset
        self._settle(error, lambda end_offset: end_offset > self.committed_offset)

    def crashed(self) -> MemoryShardLog:
        """The log as a restart finds it: with what was committed, and nobody waiting."""
        log = MemoryShardLog(commits_by_itself=self.commits_by_itself)
        log.stored = [(end_offset, batch) for end_offset, batch in self.stored if end_offset <= self.committed_offset]
        log.end_offset = log.committed_offset = self.committed_offset
        return log

    def _settle(self, error: ErrorCode, concerns: Callable[[int], bool]) -> None:
        waits, self._waits = self._waits, []
        mine = [wait for wait in waits if concerns(wait[0])]
        self._waits = [wait for wait in waits if not concerns(wait[0])] + self._waits
        for _, then in mine:
            then(error)
