"""What deciding a request comes to: the records that would make it so, and the answer once they are committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

A = TypeVar("A")

# A declared message of `core.protocol.stored.metadata`.
Record = Any


@dataclass(frozen=True, slots=True)
class Decision(Generic[A]):
    """Records that take effect together, and the answer. No records: nothing changes."""

    records: list[Record]
    answer: A
