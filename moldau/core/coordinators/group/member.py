"""One member of a classic group: what it said of itself, what it was assigned, what it waits for."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from moldau.core.base.pending import Pending

Protocols = tuple[tuple[str, bytes], ...]
Waiter = Pending[Any]


@dataclass(slots=True, kw_only=True)
class Member:
    """Everything up to `assignment` is in the log once the group is stable; the rest is lost with the shard."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: Protocols
    assignment: bytes = b""
    # Joined, but never yet told so.
    is_new: bool = False
    waiting_join: Waiter | None = None
    waiting_sync: Waiter | None = None

    @property
    def is_static(self) -> bool:
        return self.instance_id is not None

    @property
    def keeps_session(self) -> bool:
        """Whether the session goes on without heartbeats: a member that waits for our answer sends none."""
        return not self.is_new and (self.waiting_join is not None or self.waiting_sync is not None)

    def metadata(self, protocol: str | None) -> bytes:
        """What the member sent with `protocol`; empty where it did not offer it."""
        for name, metadata in self.protocols:
            if name == protocol:
                return metadata
        return b""

    def vote(self, candidates: Container[str]) -> str | None:
        """The protocol this member likes best among the candidates."""
        for name, _ in self.protocols:
            if name in candidates:
                return name
        return None
