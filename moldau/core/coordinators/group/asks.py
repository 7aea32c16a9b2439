"""What may be asked of a group and what it answers: plain values, free of protocol versions.

A refusal is an `ErrorCode` in the place of the answer; only a join that must say more than a code carries its code
in the answer. The wire messages are the handlers' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from moldau.core.base.errors import ErrorCode
from moldau.core.base.ids import ZERO_UUID
from moldau.core.coordinators.group.states import GroupState

# What a client sends as its member id before it has one.
NO_MEMBER = ""
NO_GENERATION = -1
NO_OFFSET = -1
NO_EPOCH = -1
NO_RETENTION = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Enter a group, or enter its next generation. Protocols are (name, metadata) in order of preference."""

    group_id: str
    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]
    session_timeout_ms: int
    rebalance_timeout_ms: int
    # JoinGroup v4 and newer come twice: the first time for a member id.
    needs_member_id: bool
    # JoinGroup v9 and newer can be told that the leader need not assign anew.
    knows_skip_assignment: bool


class JoinedMember(NamedTuple):
    """A member as the leader sees it."""

    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinAnswer:
    """A generation, or a refusal that names a member id. `members` is for the leader only."""

    error: ErrorCode = ErrorCode.NONE
    member_id: str = NO_MEMBER
    generation: int = NO_GENERATION
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    skip_assignment: bool = False
    members: tuple[JoinedMember, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Ask for one's assignment; the leader brings everybody's, by member id."""

    group_id: str
    member_id: str
    instance_id: str | None
    generation: int
    protocol_type: str | None
    protocol: str | None
    assignments: dict[str, bytes]


class SyncAnswer(NamedTuple):
    """An assignment."""

    protocol_type: str | None
    protocol: str | None
    assignment: bytes


class Leaver(NamedTuple):
    """Who leaves: by member id, or by instance id with an empty member id (an administrator does that)."""

    member_id: str
    instance_id: str | None


class Left(NamedTuple):
    """How one of them left."""

    member_id: str
    instance_id: str | None
    error: ErrorCode


class CommittedOffset(NamedTuple):
    """One position to commit. `topic_id` is all zeros where it is not known."""

    topic: str
    topic_id: bytes
    partition: int
    offset: int
    leader_epoch: int
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Store positions. `retention_ms` is -1 for the broker's own retention."""

    group_id: str
    member_id: str
    instance_id: str | None
    generation: int
    retention_ms: int
    offsets: list[CommittedOffset]
    # OffsetCommit v9 and newer may be told that the group does not exist.
    knows_group_id_not_found: bool


class WantedOffsets(NamedTuple):
    """The partitions of one topic whose positions are asked for."""

    topic: str
    topic_id: bytes
    partitions: list[int]


class FetchedOffset(NamedTuple):
    """A position as it is answered; offset -1 where there is none."""

    partition: int
    offset: int = NO_OFFSET
    leader_epoch: int = NO_EPOCH
    metadata: str = ""
    error: ErrorCode = ErrorCode.NONE


class FetchedTopic(NamedTuple):
    """The positions of one topic."""

    topic: str
    topic_id: bytes = ZERO_UUID
    partitions: tuple[FetchedOffset, ...] = ()


class DescribedMember(NamedTuple):
    """A member as an administrator sees it."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    assignment: bytes


class DescribedGroup(NamedTuple):
    """A group as an administrator sees it."""

    group_id: str
    state: GroupState
    protocol_type: str
    protocol: str
    members: tuple[DescribedMember, ...]


class ListedGroup(NamedTuple):
    """A group in a list."""

    group_id: str
    protocol_type: str
    state: GroupState
