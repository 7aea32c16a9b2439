"""The members of one classic group: who they are, what they offer, who waits. Pure bookkeeping.

What never lives here: states, generations, timers, the log; `classic.py` decides, this counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from moldau.core.base.errors import ErrorCode
from moldau.core.coordinators.group.asks import Join, JoinAnswer, SyncAnswer
from moldau.core.coordinators.group.member import Member, Protocols, Waiter
from moldau.core.coordinators.shard import Decision


class Membership:
    """Members by id. Invariant: some protocol is offered by all of them, because joins without one are refused."""

    __slots__ = ("_support", "by_id", "instances", "leader", "pending", "unsynced", "waiting_joins")

    def __init__(self) -> None:
        self.by_id: dict[str, Member] = {}
        self.instances: dict[str, str] = {}  # instance id -> member id
        self.leader: str | None = None
        self.pending: set[str] = set()  # member ids handed out (MEMBER_ID_REQUIRED) whose owners have not joined yet
        self.unsynced: set[str] = set()  # members of this generation that have not asked for their assignment
        self.waiting_joins = 0
        self._support: dict[str, int] = {}  # protocol name -> members that offer it

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.by_id.values())

    def put(self, member: Member) -> None:
        """Add a member; the first one leads."""
        self.by_id[member.member_id] = member
        self.pending.discard(member.member_id)
        if member.instance_id is not None:
            self.instances[member.instance_id] = member.member_id
        if member.waiting_join is not None:
            self.waiting_joins += 1
        if self.leader is None:
            self.leader = member.member_id
        self._add_support(member.protocols)

    def take(self, member_id: str) -> Member | None:
        """Take out a member, or an id that was only handed out; the next member leads."""
        self.pending.discard(member_id)
        self.unsynced.discard(member_id)
        member = self.by_id.pop(member_id, None)
        if member is None:
            return None
        if member.instance_id is not None and self.instances.get(member.instance_id) == member_id:
            del self.instances[member.instance_id]
        if member.waiting_join is not None:
            self.waiting_joins -= 1
        if self.leader == member_id:
            self.leader = next(iter(self.by_id), None)
        self._drop_support(member.protocols)
        return member

    def rename(self, member: Member, member_id: str) -> None:
        """Give a member another id, in its old place as leader and as one who has not synced."""
        old_id = member.member_id
        was_unsynced, was_leader = old_id in self.unsynced, self.leader == old_id
        self.take(old_id)
        member.member_id = member_id
        self.put(member)
        if was_unsynced:
            self.unsynced.add(member_id)
        if was_leader:
            self.leader = member_id

    def update(self, member: Member, ask: Join) -> None:
        """A member says again what it offers and how long it may be silent."""
        self.offer(member, ask.protocols)
        member.rebalance_timeout_ms = ask.rebalance_timeout_ms
        member.session_timeout_ms = ask.session_timeout_ms

    def offer(self, member: Member, protocols: Protocols) -> None:
        """Replace what a member offers."""
        self._drop_support(member.protocols)
        member.protocols = protocols
        self._add_support(protocols)

    def check(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Whether a request comes from a member, and from the instance's present owner."""
        if instance_id is not None:
            known_as = self.instances.get(instance_id)
            if known_as is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if known_as != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self.by_id else ErrorCode.UNKNOWN_MEMBER_ID

    def all_joined(self) -> bool:
        """Whether everyone waits for the next generation, and no handed-out id is still to come."""
        return self.waiting_joins == len(self.by_id) and not self.pending

    def rebalance_timeout_ms(self) -> int:
        """The longest that any member may take to come back."""
        return max((member.rebalance_timeout_ms for member in self), default=0)

    def elect_leader(self) -> bool:
        """Keep the leader if it is back, else take the first who is. False when nobody is."""
        leader = self.by_id.get(self.leader) if self.leader is not None else None
        if leader is not None and leader.waiting_join is not None:
            return True
        for member in self:
            if member.waiting_join is not None:
                self.leader = member.member_id
                return True
        return False

    def has_common_protocol(self, protocols: Protocols) -> bool:
        """Whether every member offers one of `protocols`."""
        return any(self._support.get(name, 0) == len(self.by_id) for name, _ in protocols)

    def choose_protocol(self) -> str | None:
        """The protocol most members like best among those that all of them offer; the first in case of a draw."""
        candidates = {name for name, members in self._support.items() if members == len(self.by_id)}
        votes: dict[str, int] = {}
        for member in self:
            choice = member.vote(candidates)
            if choice is not None:
                votes[choice] = votes.get(choice, 0) + 1
        return max(votes, key=lambda name: votes[name]) if votes else None

    def wait_join(self, member: Member, waiter: Waiter, out: Decision) -> None:
        """Remember who waits for the next generation."""
        # A client that asks again gave its first request up; a connection that still has it open is let go.
        self.answer_join(member, JoinAnswer(error=ErrorCode.REBALANCE_IN_PROGRESS, member_id=member.member_id), out)
        member.waiting_join = waiter
        self.waiting_joins += 1

    def answer_join(self, member: Member, answer: JoinAnswer, out: Decision) -> None:
        """Answer the join that waits, if one does."""
        if member.waiting_join is not None:
            out.reply(member.waiting_join, answer)
            member.waiting_join = None
            self.waiting_joins -= 1

    def wait_sync(self, member: Member, waiter: Waiter, out: Decision) -> None:
        """Remember who waits for its assignment."""
        self.answer_sync(member, ErrorCode.REBALANCE_IN_PROGRESS, out)
        member.waiting_sync = waiter

    def answer_sync(self, member: Member, answer: SyncAnswer | ErrorCode, out: Decision) -> bool:
        """Answer the sync that waits; False when none does."""
        if member.waiting_sync is None:
            return False
        out.reply(member.waiting_sync, answer)
        member.waiting_sync = None
        return True

    def waiters(self) -> list[Waiter]:
        """Everyone who waits for anything."""
        return [w for member in self for w in (member.waiting_join, member.waiting_sync) if w is not None]

    def _add_support(self, protocols: Protocols) -> None:
        for name in {name for name, _ in protocols}:
            self._support[name] = self._support.get(name, 0) + 1

    def _drop_support(self, protocols: Protocols) -> None:
        for name in {name for name, _ in protocols}:
            self._support[name] -= 1
            if not self._support[name]:
                del self._support[name]
