"""What a log needs of those around it.

Lives here: the two protocols between a log, its directory and whoever waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from moldau.core.base.errors import ErrorCode

if TYPE_CHECKING:
    from moldau.core.log.partition_log import PartitionLog
    from moldau.core.log.segment import Segment


class LogListener(Protocol):
    """Whoever waits for a partition's log; called on the loop."""

    def on_written(self) -> None:
        """`written_offset` moved."""

    def on_synced(self) -> None:
        """`synced_offset` moved."""

    def on_failed(self, error: ErrorCode) -> None:
        """Appends beyond `end_offset`, which has moved back, failed; once the log is `offline`, all that wait did."""


class Keeper(Protocol):
    """What a log needs of its writer."""

    def touched(self, log: PartitionLog) -> None:
        """`log` began to gather."""

    def request_sync(self, log: PartitionLog) -> None:
        """Sync what is written of `log`."""

    def truncate(self, log: PartitionLog, offset: int) -> None:
        """Cut `log` on the disk and load it again."""

    def start_moved(self, log: PartitionLog, gone: list[Segment]) -> None:
        """`log` begins later; the files of `gone` are to be removed."""
