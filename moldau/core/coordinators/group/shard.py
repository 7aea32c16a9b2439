"""One shard of the group coordinator: all groups whose ids fall on one partition of `__consumer_offsets`.

Decides requests and timers into records and answers, and replays records into state. What never lives here: the log
itself, clocks, which partition a group falls on, the wire.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from moldau.core.base.errors import CorruptData, ErrorCode
from moldau.core.base.ids import ZERO_UUID
from moldau.core.base.options import LONG_MAX
from moldau.core.base.pending import Pending
from moldau.core.coordinators.batches import TransactionEnd, read, read_plain, transaction_end
from moldau.core.coordinators.group import records
from moldau.core.coordinators.group.asks import (
    NO_MEMBER,
    Commit,
    DescribedGroup,
    FetchedOffset,
    FetchedTopic,
    Join,
    JoinAnswer,
    Leaver,
    Left,
    ListedGroup,
    Sync,
    WantedOffsets,
)
from moldau.core.coordinators.group.classic import ClassicGroup, TimerKey, TimerKind
from moldau.core.coordinators.group.config import GroupConfig
from moldau.core.coordinators.group.offset_expiry import OffsetExpiry
from moldau.core.coordinators.group.offsets import Offsets
from moldau.core.coordinators.group.records import GroupKey, Offset, OffsetKey
from moldau.core.coordinators.group.states import GroupState
from moldau.core.coordinators.group.views import described, listed
from moldau.core.coordinators.shard import Decision, Moment, StoredRecord
from moldau.core.coordinators.timers import Timers

log = logging.getLogger("moldau.groups")

Waiter = Pending[Any]

_OFFSETS_TIMER: TimerKey = (TimerKind.OFFSETS, "", "")


class GroupShard:
    """Groups by id, and their offsets."""

    __slots__ = ("_config", "_expiry", "_new_uuid", "_timers", "groups", "offsets")

    def __init__(self, config: GroupConfig, new_uuid: Callable[[], str]) -> None:
        self.groups: dict[str, ClassicGroup] = {}
        self.offsets = Offsets()
        self._config = config
        self._new_uuid = new_uuid
        self._timers: Timers[TimerKey] = Timers()
        self._expiry = OffsetExpiry(self.groups, self.offsets, config)

    # Members

    def create(self, group_id: str, now: Moment) -> Decision:
        """Make a group exist, so that the join that comes next is decided against it."""
        return Decision([] if group_id in self.groups else [self._new_group(group_id).created(now)])

    def join(self, ask: Join, waiter: Waiter, now: Moment) -> Decision:
        """A member enters a group that exists."""
        out = Decision()
        group = self.groups.get(ask.group_id)
        if group is None:
            # A group is made for whoever could enter it: without a member id, it was the protocols that could not.
            is_new = ask.member_id == NO_MEMBER
            error = ErrorCode.INCONSISTENT_GROUP_PROTOCOL if is_new else ErrorCode.UNKNOWN_MEMBER_ID
            out.reply(waiter, JoinAnswer(error=error, member_id=ask.member_id))
        else:
            group.join(ask, waiter, now, out)
        return out

    def sync(self, ask: Sync, waiter: Waiter, now: Moment) -> Decision:
        """A member asks for its assignment."""
        out = Decision()
        group = self.groups.get(ask.group_id)
        if group is None:
            out.reply(waiter, ErrorCode.UNKNOWN_MEMBER_ID)
        else:
            group.sync(ask, waiter, now, out)
        return out

    def heartbeat(
        self, group_id: str, member_id: str, instance_id: str | None, generation: int, waiter: Waiter, now: Moment
    ) -> Decision:
        """A member is alive. The answer is an ErrorCode, NONE among them."""
        out = Decision()
        group = self.groups.get(group_id)
        if group is None:
            out.reply(waiter, ErrorCode.UNKNOWN_MEMBER_ID)
        else:
            out.reply(waiter, group.heartbeat(member_id, instance_id, generation, now))
        return out

    def leave(self, group_id: str, leavers: list[Leaver], waiter: Waiter, now: Moment) -> Decision:
        """Members go. The answer is a list of `Left`, in the order asked."""
        out = Decision()
        group = self.groups.get(group_id)
        if group is None:
            out.reply(waiter, [Left(who.member_id, who.instance_id, ErrorCode.UNKNOWN_MEMBER_ID) for who in leavers])
        else:
            out.reply(waiter, group.leave(leavers, now, out))
        return out

    # Offsets

    def commit(self, ask: Commit, waiter: Waiter, now: Moment) -> Decision:
        """Store positions. The answer is a list of ErrorCodes, one per position asked."""
        out = Decision()
        error = self._check_commit(ask, now)
        if error is not ErrorCode.NONE:
            out.reply(waiter, error)
            return out
        # A client may ask for a time that no timestamp holds: for ever, then.
        expires_ms = min(now.wall_ms + ask.retention_ms, LONG_MAX) if ask.retention_ms >= 0 else records.NO_EXPIRY
        errors = []
        for wanted in ask.offsets:
            if _java_length(wanted.metadata) > self._config.offset_metadata_max_bytes:
                errors.append(ErrorCode.OFFSET_METADATA_TOO_LARGE)
                continue
            errors.append(ErrorCode.NONE)
            key = OffsetKey(ask.group_id, wanted.topic, wanted.partition)
            offset = Offset(
                wanted.offset, wanted.leader_epoch, wanted.metadata, now.wall_ms, expires_ms, wanted.topic_id
            )
            out.records.append(StoredRecord(records.offset_key(key), records.offset_value(offset)))
        out.reply(waiter, errors)
        return out

    def _check_commit(self, ask: Commit, now: Moment) -> ErrorCode:
        group = self.groups.get(ask.group_id)
        if group is None:
            # Without a generation anybody may commit: an administrator, or a consumer that assigns to itself.
            if ask.generation < 0:
                return ErrorCode.NONE
            return ErrorCode.GROUP_ID_NOT_FOUND if ask.knows_group_id_not_found else ErrorCode.ILLEGAL_GENERATION
        error = group.check_commit(ask.member_id, ask.instance_id, ask.generation)
        if error is ErrorCode.NONE:
            group.committed(ask.member_id, now)
        return error

    def fetch(
        self, group_id: str, topics: list[WantedOffsets] | None, require_stable: bool, waiter: Waiter
    ) -> Decision:
        """Read positions, of all topics for None. The answer is a list of `FetchedTopic`."""
        out = Decision(after_commit=True)
        if topics is None:
            names = dict.fromkeys(topic for topic, _, _ in self.offsets.of_group(group_id))
            wanted = {name: WantedOffsets(name, ZERO_UUID, []) for name in names}
            for topic, partition, _ in self.offsets.of_group(group_id):
                wanted[topic].partitions.append(partition)
            topics = list(wanted.values())
        out.reply(waiter, [self._fetch_topic(group_id, topic, require_stable) for topic in topics])
        return out

    def _fetch_topic(self, group_id: str, wanted: WantedOffsets, require_stable: bool) -> FetchedTopic:
        fetched = []
        for partition in wanted.partitions:
            if require_stable and self.offsets.is_pending(OffsetKey(group_id, wanted.topic, partition)):
                fetched.append(FetchedOffset(partition, error=ErrorCode.UNSTABLE_OFFSET_COMMIT))
                continue
            offset = self.offsets.get(group_id, wanted.topic, partition)
            if offset is None or _is_of_another_topic(offset.topic_id, wanted.topic_id):
                fetched.append(FetchedOffset(partition))
            else:
                fetched.append(FetchedOffset(partition, offset.offset, offset.leader_epoch, offset.metadata))
        return FetchedTopic(wanted.topic, wanted.topic_id, tuple(fetched))

    def forget_topics(self, topics: frozenset[str]) -> Decision:
        """Topics were deleted: nobody's position in them means anything."""
        return Decision(self.offsets.tombstones_of_topics(topics))

    # Showing

    def describe(self, group_id: str, waiter: Waiter) -> Decision:
        """The answer is a `DescribedGroup`, or GROUP_ID_NOT_FOUND."""
        out = Decision(after_commit=True)
        group = self.groups.get(group_id)
        answer: DescribedGroup | ErrorCode = ErrorCode.GROUP_ID_NOT_FOUND if group is None else described(group)
        out.reply(waiter, answer)
        return out

    def list_groups(self, waiter: Waiter) -> Decision:
        """The answer is a list of `ListedGroup`."""
        out = Decision(after_commit=True)
        groups: list[ListedGroup] = [listed(group) for group in self.groups.values()]
        out.reply(waiter, groups)
        return out

    # Time

    def next_deadline_ms(self) -> int | None:
        """When the next timer is due, on the monotonic clock."""
        return self._timers.next_deadline_ms()

    def expire(self, now: Moment) -> Decision | None:
        """Carry out one due timer; None when nothing is due."""
        key = self._timers.pop_due(now.monotonic_ms)
        if key is None:
            return None
        out = Decision()
        kind, group_id, member_id = key
        if kind is TimerKind.OFFSETS:
            self._timers.set(_OFFSETS_TIMER, now.monotonic_ms + self._expiry.step(now.wall_ms, out))
            return out
        group = self.groups.get(group_id)
        if group is None:
            return out
        if kind is TimerKind.SESSION:
            group.session_is_over(member_id, now, out)
        elif kind is TimerKind.JOIN:
            group.join_time_is_up(now, out)
        else:
            group.sync_time_is_up(now, out)
        if not out.records:
            self._forget_if_nothing(group_id)
        return out

    # The log

    def load(self, batch: bytes) -> int:
        """Replay one stored batch; returns how many records it held. What cannot be read is reported and left out."""
        pairs = read_plain(batch)
        if pairs is None:
            return self._load_special(batch)
        overwrite = self.offsets.overwrite
        for key, value in pairs:
            if value is None or not overwrite(key, value):
                self._replay_or_report(StoredRecord(key, value))
        return len(pairs)

    def _load_special(self, batch: bytes) -> int:
        try:
            contents = read(batch)
        except CorruptData as error:
            log.error("a batch of groups cannot be read and is left out: %s", error)
            return 0
        if contents.is_control:
            self._end_transaction(contents.producer_id, transaction_end(contents))
        for key, value in () if contents.is_control else contents.pairs:
            if contents.is_transactional:
                self._hold(contents.producer_id, key, value)
            else:
                self._replay_or_report(StoredRecord(key, value))
        return len(contents.pairs)

    def replay(self, record: StoredRecord) -> None:
        """Apply one record. Raises CorruptData."""
        if record.value is not None and self.offsets.overwrite(record.key, record.value):
            return
        key = records.parse_key(record.key)
        if isinstance(key, OffsetKey):
            self._replay_offset(key, record.value)
        elif isinstance(key, GroupKey):
            self._replay_group(key.group_id, record.value)

    def loaded(self, now: Moment) -> Decision:
        """Everything stored was replayed: sessions begin anew."""
        out = Decision()
        for group in self.groups.values():
            group.loaded(now, out)
        self._timers.set(_OFFSETS_TIMER, now.monotonic_ms + self._config.offsets_retention_check_interval_ms)
        return out

    def unload(self) -> list[Waiter]:
        """Give up; returns everyone who still waits."""
        return [waiter for group in self.groups.values() for waiter in group.unload()]

    def _replay_or_report(self, record: StoredRecord) -> None:
        try:
            self.replay(record)
        except CorruptData as error:
            log.error("a record of groups cannot be read and is left out: %s", error)

    def _replay_offset(self, key: OffsetKey, value: bytes | None) -> None:
        if value is None:
            self.offsets.remove(key)
            self._forget_if_nothing(key.group_id)
            return
        self.offsets.put(key, value)
        self._ensure_group(key.group_id)

    def _replay_group(self, group_id: str, value: bytes | None) -> None:
        if value is not None:
            self._ensure_group(group_id).restore(records.parse_group(value))
            return
        self.groups.pop(group_id, None)
        if self.offsets.has_group(group_id):
            self._ensure_group(group_id)  # its offsets can still be fetched

    def _hold(self, producer_id: int, key: bytes, value: bytes | None) -> None:
        try:
            parsed = records.parse_key(key)
        except CorruptData as error:
            log.error("a record of groups cannot be read and is left out: %s", error)
            return
        if isinstance(parsed, OffsetKey):
            self.offsets.hold(producer_id, parsed, value)

    def _end_transaction(self, producer_id: int, end: TransactionEnd | None) -> None:
        if end is None:
            return
        held = self.offsets.release(producer_id)
        if end is TransactionEnd.COMMIT:
            for key, value in held.items():
                self._replay_offset(key, value)

    def _ensure_group(self, group_id: str) -> ClassicGroup:
        group = self.groups.get(group_id)
        if group is None:
            group = self.groups[group_id] = self._new_group(group_id)
        return group

    def _new_group(self, group_id: str) -> ClassicGroup:
        return ClassicGroup(group_id, self._config, self._timers, self._new_uuid)

    def _forget_if_nothing(self, group_id: str) -> None:
        """A group that only its offsets made goes with the last of them: no restart would bring it back."""
        group = self.groups.get(group_id)
        if (
            group is not None
            and not group.recorded
            and group.state is GroupState.EMPTY
            and not group.members.pending
            and not self.offsets.has_group(group_id)
        ):
            del self.groups[group_id]


def _java_length(text: str) -> int:
    """Length in UTF-16 units, which is what Kafka counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _is_of_another_topic(committed: bytes, wanted: bytes) -> bool:
    """Whether both ids are known and differ: the topic was deleted and made again since the commit."""
    return committed != wanted and ZERO_UUID not in (committed, wanted)
