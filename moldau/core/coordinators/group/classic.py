"""The state machine of one classic group: how its generations come about.

Two kinds of state live here. What is in the log (the last generation: its members and their assignments) changes
in `restore`, which replays a group metadata record, live and at recovery. What never reaches the log (who waits for
which answer, member ids handed out but not yet used, a rebalance in progress) changes where requests and timers are
decided, and is gone when the shard is unloaded.

    join ... join -> (all there, or time is up) -> new generation -> sync by the leader -> record -> Stable

What never lives here: offsets, bytes of records, protocol versions, clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum

from moldau.core.base.errors import ErrorCode
from moldau.core.coordinators.group import records, stored_form
from moldau.core.coordinators.group.asks import (
    NO_MEMBER,
    Join,
    JoinAnswer,
    Leaver,
    Left,
    Sync,
    SyncAnswer,
)
from moldau.core.coordinators.group.config import NEW_MEMBER_JOIN_TIMEOUT_MS, GroupConfig
from moldau.core.coordinators.group.member import Member, Waiter
from moldau.core.coordinators.group.membership import Membership
from moldau.core.coordinators.group.states import RECORDED, GroupState, check_move
from moldau.core.coordinators.group.views import joined
from moldau.core.coordinators.shard import Decision, Moment, StoredRecord
from moldau.core.coordinators.timers import Timers
from moldau.core.protocol.stored.groups import GroupMetadataValue

_EMPTY = GroupState.EMPTY
_PREPARING = GroupState.PREPARING_REBALANCE
_COMPLETING = GroupState.COMPLETING_REBALANCE
_STABLE = GroupState.STABLE
_NONE = ErrorCode.NONE


class TimerKind(IntEnum):
    """What may come due in a group, or, for offsets, in its shard."""

    SESSION = 0
    JOIN = 1
    SYNC = 2
    OFFSETS = 3


# Kind, group id, member id (empty where the timer is the group's).
TimerKey = tuple[TimerKind, str, str]


class ClassicGroup:
    """One group. Requests and timers add records and replies to the `Decision` they are given."""

    __slots__ = (
        "_config",
        "_delay_left_ms",
        "_delay_ms",
        "_is_first_rebalance",
        "_joined_during_delay",
        "_new_uuid",
        "_timers",
        "generation",
        "group_id",
        "members",
        "protocol",
        "protocol_type",
        "recorded",
        "state",
        "state_since_ms",
    )

    def __init__(
        self, group_id: str, config: GroupConfig, timers: Timers[TimerKey], new_uuid: Callable[[], str]
    ) -> None:
        self.group_id = group_id
        self.state = _EMPTY
        self.state_since_ms = -1  # wall clock of the last record; -1: never recorded, or by a very old Kafka
        self.recorded = False  # whether the log has metadata of this group; else only offsets made it
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.members = Membership()
        # The rebalance of an empty group: it waits a while for more members, and a while longer if some came.
        self._is_first_rebalance = False
        self._joined_during_delay = False
        self._delay_ms = 0
        self._delay_left_ms = 0
        self._config = config
        self._timers = timers
        self._new_uuid = new_uuid

    # Joining

    def join(self, ask: Join, waiter: Waiter, now: Moment, out: Decision) -> None:
        """A member enters. Group id and session timeout were checked before."""
        if not self._has_room(ask.member_id):
            self._remove(ask.member_id, out)
            out.reply(waiter, JoinAnswer(error=ErrorCode.GROUP_MAX_SIZE_REACHED))
            self._maybe_complete_join(now, out)
        elif not self._supports(ask):
            out.reply(waiter, JoinAnswer(error=ErrorCode.INCONSISTENT_GROUP_PROTOCOL, member_id=ask.member_id))
        elif ask.member_id == NO_MEMBER:
            self._join_new(ask, waiter, now, out)
        else:
            self._join_known(ask, waiter, now, out)

    def _join_new(self, ask: Join, waiter: Waiter, now: Moment, out: Decision) -> None:
        if ask.instance_id is not None:
            member_id = f"{ask.instance_id}-{self._new_uuid()}"
            known_as = self.members.instances.get(ask.instance_id)
            if known_as is None:
                self._add(member_id, ask, waiter, now, out)
            else:
                self._replace_static(self.members.by_id[known_as], member_id, ask, waiter, now, out)
            return
        member_id = f"{ask.client_id}-{self._new_uuid()}"
        if not ask.needs_member_id:
            self._add(member_id, ask, waiter, now, out)
            return
        self.members.pending.add(member_id)
        self._timers.set(self._session(member_id), now.monotonic_ms + ask.session_timeout_ms)
        out.reply(waiter, JoinAnswer(error=ErrorCode.MEMBER_ID_REQUIRED, member_id=member_id))

    def _join_known(self, ask: Join, waiter: Waiter, now: Moment, out: Decision) -> None:
        if ask.member_id in self.members.pending:
            if ask.instance_id is None:
                self._add(ask.member_id, ask, waiter, now, out)
            else:
                # Ids are handed out to dynamic members only: this client mixes up two roles.
                out.reply(waiter, ErrorCode.UNKNOWN_SERVER_ERROR)
            return
        error = self.members.check(ask.member_id, ask.instance_id)
        if error is not _NONE:
            out.reply(waiter, JoinAnswer(error=error, member_id=ask.member_id))
            return
        member = self.members.by_id[ask.member_id]
        # Asking again with nothing new gets the present generation again: the first answer may have been lost. A
        # stable group's leader always starts a rebalance, as that is how it reports what only it sees (new partitions).
        is_leader = ask.member_id == self.members.leader
        unchanged = member.protocols == ask.protocols
        if unchanged and (self.state is _COMPLETING or (self.state is _STABLE and not is_leader)):
            out.reply(waiter, joined(self, member.member_id, with_members=is_leader))
            return
        self.members.update(member, ask)
        self.members.wait_join(member, waiter, out)
        self._rebalance(now, out)

    def _add(self, member_id: str, ask: Join, waiter: Waiter, now: Moment, out: Decision) -> None:
        if not self.members:
            self.protocol_type = ask.protocol_type
        member = Member(
            member_id=member_id,
            instance_id=ask.instance_id,
            client_id=ask.client_id,
            client_host=ask.client_host,
            rebalance_timeout_ms=ask.rebalance_timeout_ms,
            session_timeout_ms=ask.session_timeout_ms,
            protocols=ask.protocols,
            is_new=True,
        )
        self.members.put(member)
        self.members.wait_join(member, waiter, out)
        self._timers.set(self._session(member_id), now.monotonic_ms + NEW_MEMBER_JOIN_TIMEOUT_MS)
        if self._is_first_rebalance:
            self._joined_during_delay = True
        self._rebalance(now, out)

    def _replace_static(
        self, member: Member, new_id: str, ask: Join, waiter: Waiter, now: Moment, out: Decision
    ) -> None:
        """An instance came back without its member id: it gets a new one, and whoever still uses the old is fenced."""
        old_id, leader_before = member.member_id, self.members.leader
        self.members.answer_join(member, JoinAnswer(error=ErrorCode.FENCED_INSTANCE_ID, member_id=old_id), out)
        self.members.answer_sync(member, ErrorCode.FENCED_INSTANCE_ID, out)
        self._timers.cancel(self._session(old_id))
        self.members.rename(member, new_id)
        self.members.update(member, ask)
        member.is_new = False
        self._touch(member, now)
        if self.state is _STABLE and self.members.choose_protocol() == self.protocol:
            self._take_over(member, leader_before, ask, waiter, now, out)
            return
        self.members.wait_join(member, waiter, out)
        # While completing, the leader may already assign partitions to the old id; only another round puts that right.
        self._rebalance(now, out)

    def _take_over(
        self, member: Member, leader_before: str | None, ask: Join, waiter: Waiter, now: Moment, out: Decision
    ) -> None:
        """The new id of a static member takes over the old one's assignment, without a rebalance."""
        assignments = {each.member_id: each.assignment for each in self.members}
        out.records.append(self._stable_record(assignments, now))
        is_leader = member.member_id == self.members.leader
        if ask.knows_skip_assignment:
            answer = joined(self, member.member_id, with_members=is_leader, skip_assignment=is_leader)
        else:
            # A client that cannot be told to skip the assignment must not think that it leads: it is told the old id.
            answer = joined(self, member.member_id, with_members=False, leader=leader_before)
        out.reply(waiter, answer)

    def _has_room(self, member_id: str) -> bool:
        if self.state is _EMPTY:
            return True
        if self.state is _PREPARING:
            # Counting who waits lets a group that is over its limit shrink: the last to come back are turned away.
            member = self.members.by_id.get(member_id)
            is_counted = member is not None and member.waiting_join is not None
            return is_counted or self.members.waiting_joins < self._config.max_size
        return member_id in self.members.by_id or len(self.members) < self._config.max_size

    def _supports(self, ask: Join) -> bool:
        if self.state is _EMPTY:
            return bool(ask.protocol_type) and bool(ask.protocols)
        return ask.protocol_type == self.protocol_type and self.members.has_common_protocol(ask.protocols)

    # Rebalancing

    def _rebalance(self, now: Moment, out: Decision) -> None:
        """Members or their metadata changed: begin a rebalance, or see whether the one in progress can end."""
        if self.state is _PREPARING:
            self._maybe_complete_join(now, out)
        else:
            self._prepare_rebalance(now, out)

    def _prepare_rebalance(self, now: Moment, out: Decision) -> None:
        if self.state is _COMPLETING:
            for member in self.members:
                member.assignment = b""
                if self.members.answer_sync(member, ErrorCode.REBALANCE_IN_PROGRESS, out):
                    self._touch(member, now)
        self.members.unsynced.clear()
        self._timers.cancel(self._timer(TimerKind.SYNC))
        self._is_first_rebalance = self.state is _EMPTY
        self._move(_PREPARING)
        if self._is_first_rebalance:
            self._joined_during_delay = False
            self._delay_ms = self._config.initial_rebalance_delay_ms
            self._delay_left_ms = max(self.members.rebalance_timeout_ms() - self._delay_ms, 0)
            if self._delay_ms == 0:
                self._complete_join(now, out)
            else:
                self._timers.set(self._timer(TimerKind.JOIN), now.monotonic_ms + self._delay_ms)
        elif self.members.all_joined():
            self._complete_join(now, out)
        else:
            self._wait_for_members(now)

    def _wait_for_members(self, now: Moment) -> None:
        self._timers.set(self._timer(TimerKind.JOIN), now.monotonic_ms + self.members.rebalance_timeout_ms())

    def _maybe_complete_join(self, now: Moment, out: Decision) -> None:
        if self.state is _PREPARING and not self._is_first_rebalance and self.members.all_joined():
            self._complete_join(now, out)

    def join_time_is_up(self, now: Moment, out: Decision) -> None:
        """The wait for members is over: begin the generation with those who are there."""
        if self.state is not _PREPARING:
            return
        if self._is_first_rebalance and self._joined_during_delay and self._delay_left_ms > 0:
            self._joined_during_delay = False
            delay_ms = min(self._config.initial_rebalance_delay_ms, self._delay_left_ms)
            self._delay_left_ms = max(self._delay_left_ms - self._delay_ms, 0)
            self._delay_ms = delay_ms
            self._timers.set(self._timer(TimerKind.JOIN), now.monotonic_ms + delay_ms)
        else:
            self._complete_join(now, out)

    def _complete_join(self, now: Moment, out: Decision) -> None:
        """Begin the next generation with everyone who waits; static members may be absent until their session ends."""
        self._timers.cancel(self._timer(TimerKind.JOIN))
        for member in [each for each in self.members if each.waiting_join is None and not each.is_static]:
            self._remove(member.member_id, out)
        if not self.members:
            check_move(self.group_id, self.state, _EMPTY)
            out.records.append(self._empty_record(now))
            return
        self._is_first_rebalance = False
        if not self.members.elect_leader():
            self._wait_for_members(now)  # only static members, none of them back: their sessions will decide
            return
        self.generation += 1
        self.protocol = self.members.choose_protocol()
        self._move(_COMPLETING)
        self.members.unsynced = set(self.members.by_id)
        for member in self.members:
            answer = joined(self, member.member_id, with_members=member.member_id == self.members.leader)
            self.members.answer_join(member, answer, out)
            member.is_new = False
            self._touch(member, now)
        self._timers.set(self._timer(TimerKind.SYNC), now.monotonic_ms + self.members.rebalance_timeout_ms())

    # Syncing

    def sync(self, ask: Sync, waiter: Waiter, now: Moment, out: Decision) -> None:
        """A member asks for its assignment; the leader's request brings all of them."""
        error = self._check_sync(ask)
        if error is not _NONE:
            out.reply(waiter, error)
            return
        self.members.unsynced.discard(ask.member_id)
        if not self.members.unsynced:
            self._timers.cancel(self._timer(TimerKind.SYNC))
        member = self.members.by_id[ask.member_id]
        if self.state is _STABLE:
            out.after_commit = True  # the assignment may still be on its way to the disk
            out.reply(waiter, self._synced(member.assignment))
            return
        self.members.wait_sync(member, waiter, out)
        if ask.member_id != self.members.leader:
            return
        check_move(self.group_id, self.state, _STABLE)
        assignments = {member_id: ask.assignments.get(member_id, b"") for member_id in self.members.by_id}
        out.records.append(self._stable_record(assignments, now))
        for each in self.members:
            if self.members.answer_sync(each, self._synced(assignments[each.member_id]), out):
                self._touch(each, now)

    def _check_sync(self, ask: Sync) -> ErrorCode:
        error = self.members.check(ask.member_id, ask.instance_id)
        if error is not _NONE:
            return error
        if ask.generation != self.generation:
            return ErrorCode.ILLEGAL_GENERATION
        if _differs(ask.protocol_type, self.protocol_type) or _differs(ask.protocol, self.protocol):
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        return ErrorCode.REBALANCE_IN_PROGRESS if self.state is _PREPARING else _NONE

    def sync_time_is_up(self, now: Moment, out: Decision) -> None:
        """Members of this generation that never synced are dropped."""
        if self.state not in (_COMPLETING, _STABLE) or not self.members.unsynced:
            return
        for member_id in sorted(self.members.unsynced):
            self._remove(member_id, out)
        self._prepare_rebalance(now, out)

    # Staying and leaving

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int, now: Moment) -> ErrorCode:
        """A member is alive."""
        error = self.members.check(member_id, instance_id)
        if error is not _NONE:
            return error
        if generation != self.generation:
            return ErrorCode.ILLEGAL_GENERATION
        self._touch(self.members.by_id[member_id], now)
        return ErrorCode.REBALANCE_IN_PROGRESS if self.state is _PREPARING else _NONE

    def leave(self, leavers: Iterable[Leaver], now: Moment, out: Decision) -> list[Left]:
        """Members go at their own wish, or at an administrator's."""
        answers = [Left(who.member_id, who.instance_id, self._leave_one(who, out)) for who in leavers]
        if any(answer.error is _NONE for answer in answers) and self.state is not _EMPTY:
            self._rebalance(now, out)
        return answers

    def _leave_one(self, who: Leaver, out: Decision) -> ErrorCode:
        member_id = who.member_id
        if member_id == NO_MEMBER:
            known_as = self.members.instances.get(who.instance_id) if who.instance_id is not None else None
            if known_as is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            member_id = known_as
        elif member_id not in self.members.pending:
            error = self.members.check(member_id, who.instance_id)
            if error is not _NONE:
                return error
        self._remove(member_id, out)
        return _NONE

    def session_is_over(self, member_id: str, now: Moment, out: Decision) -> None:
        """No heartbeat came in time."""
        member = self.members.by_id.get(member_id)
        if member is None:
            self.members.pending.discard(member_id)
            self._maybe_complete_join(now, out)
        elif not member.keeps_session:
            self._remove(member_id, out)
            self._rebalance(now, out)

    def _remove(self, member_id: str, out: Decision) -> None:
        """A member, or one who was about to be, is gone. What it waited for is refused: if it lives, it joins anew."""
        self._timers.cancel(self._session(member_id))
        member = self.members.by_id.get(member_id)
        if member is not None:
            self.members.answer_join(member, JoinAnswer(error=ErrorCode.UNKNOWN_MEMBER_ID), out)
            self.members.answer_sync(member, ErrorCode.UNKNOWN_MEMBER_ID, out)
        self.members.take(member_id)

    # Offsets

    def check_commit(self, member_id: str, instance_id: str | None, generation: int) -> ErrorCode:
        """Whether offsets may be committed: by members of this generation, or by anyone while nobody is here."""
        if generation < 0 and self.state is _EMPTY:
            return _NONE
        if generation < 0 and member_id == NO_MEMBER and instance_id is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        error = self.members.check(member_id, instance_id)
        if error is not _NONE:
            return error
        if generation != self.generation:
            return ErrorCode.ILLEGAL_GENERATION
        return ErrorCode.REBALANCE_IN_PROGRESS if self.state is _COMPLETING else _NONE

    def committed(self, member_id: str, now: Moment) -> None:
        """A commit of a member counts as a heartbeat."""
        member = self.members.by_id.get(member_id)
        if member is not None:
            self._touch(member, now)

    # The log

    def created(self, now: Moment) -> StoredRecord:
        """The record that makes this group exist before anybody is in it."""
        return records.group_metadata(self.group_id, stored_form.empty(self.protocol_type, 0, now.wall_ms))

    def _empty_record(self, now: Moment) -> StoredRecord:
        value = stored_form.empty(self.protocol_type, self.generation + 1, now.wall_ms)
        return records.group_metadata(self.group_id, value)

    def _stable_record(self, assignments: dict[str, bytes], now: Moment) -> StoredRecord:
        value = stored_form.stable(
            self.members, assignments, self.protocol_type, self.protocol, self.generation, now.wall_ms
        )
        return records.group_metadata(self.group_id, value)

    def restore(self, value: GroupMetadataValue) -> None:
        """Replay a group metadata record."""
        for member_id in stored_form.restore(self.members, value):
            self._timers.cancel(self._session(member_id))
        self.recorded = True
        self.generation = value.generation
        self.protocol_type = value.protocol_type or None
        self.protocol = value.protocol
        self.state_since_ms = value.current_state_timestamp
        self._is_first_rebalance = False
        # No check of the table here: at recovery, what lay between two records was never recorded.
        self.state = _STABLE if value.members else _EMPTY
        assert self.state in RECORDED

    def loaded(self, now: Moment, out: Decision) -> None:
        """Everything stored was replayed: each member has a whole session to show that it lives."""
        for member in self.members:
            self._touch(member, now)
        if len(self.members) > self._config.max_size:
            self._prepare_rebalance(now, out)  # the limit was lowered: those who come back last will be turned away

    def unload(self) -> list[Waiter]:
        """The shard goes away; returns those who wait."""
        self._move(GroupState.DEAD)
        return self.members.waiters()

    # Parts

    def _synced(self, assignment: bytes) -> SyncAnswer:
        return SyncAnswer(self.protocol_type, self.protocol, assignment)

    def _move(self, target: GroupState) -> None:
        check_move(self.group_id, self.state, target)
        self.state = target

    def _touch(self, member: Member, now: Moment) -> None:
        self._timers.set(self._session(member.member_id), now.monotonic_ms + member.session_timeout_ms)

    def _session(self, member_id: str) -> TimerKey:
        return (TimerKind.SESSION, self.group_id, member_id)

    def _timer(self, kind: TimerKind) -> TimerKey:
        return (kind, self.group_id, "")


def _differs(asked: str | None, actual: str | None) -> bool:
    return asked is not None and actual is not None and asked != actual
