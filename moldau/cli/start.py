"""Where `consume` starts: what -o says, and the offset it means in a partition. Pure.

start | end | -N (N before the end) | N (that offset) | @TIME (first record at or after: ms, or ISO-8601)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum


class From(Enum):
    START = "start"
    END = "end"
    BEFORE_END = "before end"
    OFFSET = "offset"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Start:
    """`number`: records before the end, an offset, or milliseconds since 1970, by `kind`."""

    kind: From
    number: int = 0

    def offset(self, low: int, end: int) -> int:
        """The offset to start from in a partition that holds [low, end). Not for TIME: only the broker knows."""
        if self.kind is From.START:
            return low
        if self.kind is From.BEFORE_END:
            return max(low, end - self.number)
        if self.kind is From.OFFSET:
            return min(max(low, self.number), end)
        return end


def parse_start(text: str) -> Start:
    """Raises ValueError for what -o cannot be."""
    if text in ("start", "earliest", "beginning"):
        return Start(From.START)
    if text in ("end", "latest"):
        return Start(From.END)
    if text.startswith("@"):
        return Start(From.TIME, _milliseconds(text[1:]))
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit():
        raise ValueError(f"{text!r} is not start, end, -N, an offset or @TIME")
    return Start(From.BEFORE_END if text.startswith("-") else From.OFFSET, int(digits))


def _milliseconds(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither milliseconds since 1970 nor an ISO-8601 time") from None
    # A time without a zone is the user's own.
    return int((moment.astimezone() if moment.tzinfo is None else moment.astimezone(UTC)).timestamp() * 1000)
