"""KRaft as a pure step: an event in, the work to do out. No disk, clock or network; the driver carries it out.

Served so far is a quorum of one voter: it elects itself when it starts, and what it has synced is agreed.
The counting is a majority's already, and `Ready` is ordered as every voter must do it:

    1. make `election` durable     2. append `opening`     3. let others see up to `high_watermark`

Invariants: the epoch rises with every election. The high watermark never moves back, and moves at all only to
an offset of this epoch (a leader cannot commit its predecessors' records by counting; the batch that opens its
epoch commits them with itself).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from moldau.core.base.errors import InvariantBroken
from moldau.core.quorum.election import NOBODY, ElectionState
from moldau.core.quorum.voters import ReplicaKey, VoterSet


class Role(Enum):
    """What a voter is in its epoch."""

    UNATTACHED = "unattached"
    LEADER = "leader"


class Elect(NamedTuple):
    """Nobody leads, or this voter starts: stand for election. `log_end` is where its log ends."""

    log_end: int


class Synced(NamedTuple):
    """A voter's log is durable up to `end_offset` (exclusive)."""

    voter_id: int
    end_offset: int


Event = Elect | Synced


@dataclass(frozen=True, slots=True)
class Ready:
    """What to do now, in the order of the fields; None: nothing of that kind."""

    election: ElectionState | None = None
    opening: tuple[int, ...] | None = None  # append the batch that opens the epoch; who voted for it
    high_watermark: int | None = None


NOTHING = Ready()


class Raft:
    """One voter's state."""

    __slots__ = ("_ends", "_epoch_start", "election", "high_watermark", "me", "role", "voters")

    def __init__(self, me: ReplicaKey, voters: VoterSet, election: ElectionState) -> None:
        self.me = me
        self.voters = voters
        self.election = election
        self.role = Role.UNATTACHED
        self.high_watermark = 0
        self._epoch_start = 0
        self._ends: dict[int, int] = {}

    @property
    def epoch(self) -> int:
        return self.election.epoch

    def step(self, event: Event) -> Ready:
        """Take in one event."""
        if isinstance(event, Elect):
            return self._elect(event)
        return self._synced(event)

    def _elect(self, event: Elect) -> Ready:
        if not self.voters.agrees({self.me.id}):
            raise InvariantBroken("an election among several voters is not served yet")
        self.election = ElectionState(epoch=self.epoch + 1, leader_id=self.me.id, voted_id=NOBODY)
        self.role = Role.LEADER
        self._epoch_start = event.log_end
        self._ends = {}
        return Ready(election=self.election, opening=(self.me.id,))

    def _synced(self, event: Synced) -> Ready:
        if self.role is not Role.LEADER:
            return NOTHING
        self._ends[event.voter_id] = event.end_offset
        agreed = self.voters.agreed_offset(self._ends)
        if agreed <= self._epoch_start or agreed <= self.high_watermark:
            return NOTHING
        self.high_watermark = agreed
        return Ready(high_watermark=agreed)
