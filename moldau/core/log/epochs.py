"""Leader epochs of one partition: which epoch began at which offset.

Lives here: the list in memory and its rules. The file is in `checkpoints.py`'s format; the writer puts it
on the disk together with the first batch of a new epoch, and recovery rebuilds what a crash took from the
headers of the batches.
"""

from __future__ import annotations

from bisect import bisect_right

UNDEFINED = -1


class LeaderEpochs:
    """Entries (epoch, first offset), both rising. The file has them when `saved_version` is `version`."""

    __slots__ = ("entries", "saved_version", "version")

    def __init__(self, entries: list[tuple[int, int]] | None = None) -> None:
        self.entries = entries if entries is not None else []
        self.version = 0
        self.saved_version = 0

    @property
    def saved(self) -> bool:
        """Whether the file on the disk has these entries."""
        return self.version == self.saved_version

    @property
    def latest(self) -> int:
        """The newest epoch, or -1."""
        return self.entries[-1][0] if self.entries else UNDEFINED

    def assign(self, epoch: int, start_offset: int) -> None:
        """`epoch` begins at `start_offset`, unless it is already known. Entries that contradict it go."""
        entries = self.entries
        if entries and entries[-1][0] >= epoch:
            return
        while entries and entries[-1][1] >= start_offset:
            entries.pop()
        entries.append((epoch, start_offset))
        self.version += 1

    def end_offset_for(self, epoch: int, log_end: int, current: int = UNDEFINED) -> tuple[int, int]:
        """(epoch, end): the largest epoch known that is <= `epoch`, and where it ended.

        `current` is the leader's epoch, which counts as begun at `log_end` before its first append.
        (-1, -1) when nothing can be said: no entries, or an epoch above the newest. An epoch below the
        oldest entry ends where that entry begins, and is answered as asked.
        """
        entries = self.entries if current <= self.latest else [*self.entries, (current, log_end)]
        if epoch == UNDEFINED or not entries or epoch > entries[-1][0]:
            return UNDEFINED, UNDEFINED
        following = bisect_right(entries, epoch, key=_epoch)
        if following == len(entries):
            return epoch, log_end
        if following == 0:
            return epoch, entries[0][1]
        return entries[following - 1][0], entries[following][1]

    def epoch_at(self, offset: int) -> int:
        """The epoch of the batch that holds `offset`, or -1."""
        following = bisect_right(self.entries, offset, key=_start)
        return self.entries[following - 1][0] if following else UNDEFINED

    def truncate_to(self, end_offset: int) -> None:
        """Forget epochs that began at or after `end_offset`: the log ends there now."""
        while self.entries and self.entries[-1][1] >= end_offset:
            self.entries.pop()
            self.version += 1

    def advance_start(self, start_offset: int) -> None:
        """The log begins at `start_offset` now: older epochs go, the one that holds it begins there."""
        entries = self.entries
        following = bisect_right(entries, start_offset, key=_start)
        if following == 0 or entries[0][1] >= start_offset:
            return
        entries[:following] = [(entries[following - 1][0], start_offset)]
        self.version += 1


def _epoch(entry: tuple[int, int]) -> int:
    return entry[0]


def _start(entry: tuple[int, int]) -> int:
    return entry[1]
