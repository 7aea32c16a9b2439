"""The group coordinator as the handlers see it: which shard a group belongs to, and one method per question.

Every method returns its answer, or a `Pending` that the shard completes; an `ErrorCode` in the place of an answer is
a refusal. What never lives here: rules of groups (`group/`), protocol versions (handlers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from moldau.core.base.clock import Clock
from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.asks import (
    NO_MEMBER,
    Commit,
    DescribedGroup,
    FetchedTopic,
    Join,
    JoinAnswer,
    Leaver,
    Left,
    ListedGroup,
    Sync,
    SyncAnswer,
    WantedOffsets,
)
from moldau.core.coordinators.group.config import OFFSETS_TOPIC, GroupConfig
from moldau.core.coordinators.group.shard import GroupShard
from moldau.core.coordinators.runtime import Runtime
from moldau.core.coordinators.shard import Decision, Moment, ShardLog
from moldau.core.coordinators.waiting import gathered, mapped
from moldau.core.metadata.image import ClusterImage

T = TypeVar("T")
Answer: TypeAlias = T | ErrorCode | Pending[T | ErrorCode]

CACHED_ID_LENGTH_MAX = 128


class GroupCoordinator:
    """All groups whose partitions of `__consumer_offsets` this broker leads."""

    def __init__(
        self,
        config: GroupConfig,
        clock: Clock,
        new_uuid: Callable[[], str],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        """`new_uuid` makes the random part of member ids; `call_soon` runs a call in a later turn of the loop."""
        self.config = config
        self.partitions = config.offsets_topic_partitions
        self._runtime = Runtime(
            "group shard",
            lambda: GroupShard(config, new_uuid),
            clock,
            call_soon,
            config.offset_commit_timeout_ms,
        )

    # What the broker tells it

    def on_partition_led(self, index: int, log: ShardLog) -> None:
        """This broker leads partition `index` of `__consumer_offsets`, whose log is `log`."""
        self._runtime.lead(index, log)

    def on_partition_lost(self, index: int) -> None:
        """This broker does not lead partition `index` any more."""
        self._runtime.lose(index)

    def on_image(self, image: ClusterImage, before: ClusterImage) -> None:
        """New committed metadata. To be called with the first image too, before anything is led."""
        topic = image.topics_by_name.get(OFFSETS_TOPIC)
        self.partitions = self.config.offsets_topic_partitions if topic is None else len(topic.partitions)
        if image.topics_by_id is not before.topics_by_id:
            gone = before.topics_by_id.keys() - image.topics_by_id.keys()
            self.on_topics_deleted(before.topics_by_id[topic_id].name for topic_id in gone)

    def on_topics_deleted(self, topics: Iterable[str]) -> None:
        """Nobody's offsets in these topics mean anything any more."""
        names = frozenset(topics)
        if names:
            self._runtime.run_everywhere(lambda shard, _now: shard.forget_topics(names))

    def tick(self, now_ms: int) -> None:
        """Carry out what is due at `now_ms`, on the monotonic clock. After a late tick, drain the sockets first."""
        self._runtime.tick(now_ms)

    def next_deadline_ms(self) -> int | None:
        """When `tick` is wanted next."""
        return self._runtime.next_deadline_ms()

    # Members

    def partition_for(self, group_id: str) -> int:
        """The partition of `__consumer_offsets` that a group belongs to."""
        return partition_of_hash(java_hash(group_id), self.partitions)

    def join(self, ask: Join) -> Answer[JoinAnswer]:
        """Enter a group; the answer comes with its next generation."""
        if not ask.group_id:
            return JoinAnswer(error=ErrorCode.INVALID_GROUP_ID, member_id=ask.member_id)
        if not self.config.session_timeout_min_ms <= ask.session_timeout_ms <= self.config.session_timeout_max_ms:
            return JoinAnswer(error=ErrorCode.INVALID_SESSION_TIMEOUT, member_id=ask.member_id)
        if ask.member_id == NO_MEMBER and ask.protocol_type and ask.protocols:
            # The first one to come makes the group: a record of its own, so that the join is decided against it.
            self._runtime.run(self.partition_for(ask.group_id), lambda shard, now: shard.create(ask.group_id, now))
        return self._ask(ask.group_id, lambda shard, waiter, now: shard.join(ask, waiter, now))

    def sync(self, ask: Sync) -> Answer[SyncAnswer]:
        """Ask for an assignment; the answer comes with the leader's."""
        if not ask.group_id:
            return ErrorCode.INVALID_GROUP_ID
        return self._ask(ask.group_id, lambda shard, waiter, now: shard.sync(ask, waiter, now))

    def heartbeat(self, group_id: str, member_id: str, instance_id: str | None, generation: int) -> Answer[ErrorCode]:
        """A member is alive."""
        if not group_id:
            return ErrorCode.INVALID_GROUP_ID
        answer: Answer[ErrorCode] = self._ask(
            group_id,
            lambda shard, waiter, now: shard.heartbeat(group_id, member_id, instance_id, generation, waiter, now),
        )
        # While the group is being loaded nobody knows; its members shall stay calm.
        return ErrorCode.NONE if answer is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS else answer

    def leave(self, group_id: str, leavers: list[Leaver]) -> Answer[list[Left]]:
        """Members go."""
        if not group_id:
            return ErrorCode.INVALID_GROUP_ID
        return self._ask(group_id, lambda shard, waiter, now: shard.leave(group_id, leavers, waiter, now))

    # Offsets

    def commit(self, ask: Commit) -> Answer[list[ErrorCode]]:
        """Store positions; one code for each, in order. An empty group id is fine here, as it always was."""
        return self._ask(ask.group_id, lambda shard, waiter, now: shard.commit(ask, waiter, now))

    def fetch(
        self, group_id: str, topics: list[WantedOffsets] | None, *, require_stable: bool
    ) -> Answer[list[FetchedTopic]]:
        """Read positions; of all topics for None."""
        answer: Any = self._ask(
            group_id, lambda shard, waiter, _now: shard.fetch(group_id, topics, require_stable, waiter)
        )
        return mapped(answer, _fetch_refusal)

    # Showing

    def describe(self, group_id: str) -> Answer[DescribedGroup]:
        """One group; GROUP_ID_NOT_FOUND when there is none."""
        return self._ask(group_id, lambda shard, waiter, _now: shard.describe(group_id, waiter))

    def list_groups(self) -> Answer[list[ListedGroup]]:
        """The groups of this broker."""
        answers: list[Any] = [
            self._ask_shard(index, lambda shard, waiter, _now: shard.list_groups(waiter))
            for index in self._runtime.indexes()
        ]
        return mapped(gathered(answers), _joined_lists)

    def _ask(
        self, group_id: str, decide: Callable[[GroupShard, Pending[T | ErrorCode], Moment], Decision]
    ) -> Answer[T]:
        return self._ask_shard(self.partition_for(group_id), decide)

    def _ask_shard(
        self, index: int, decide: Callable[[GroupShard, Pending[T | ErrorCode], Moment], Decision]
    ) -> Answer[T]:
        waiter: Pending[T | ErrorCode] = Pending()
        error = self._runtime.run(index, lambda shard, now: decide(shard, waiter, now))
        if error is not ErrorCode.NONE:
            return error
        return waiter if waiter.value is None else waiter.value


def _fetch_refusal(answer: list[FetchedTopic] | ErrorCode) -> list[FetchedTopic] | ErrorCode:
    # Consumers older than 3.9 do not retry COORDINATOR_NOT_AVAILABLE here, but NOT_COORDINATOR sends them looking.
    return ErrorCode.NOT_COORDINATOR if answer is ErrorCode.COORDINATOR_NOT_AVAILABLE else answer


def _joined_lists(answers: list[list[ListedGroup] | ErrorCode]) -> list[ListedGroup] | ErrorCode:
    groups: list[ListedGroup] = []
    for answer in answers:
        if not isinstance(answer, ErrorCode):
            groups += answer
        elif answer is not ErrorCode.NOT_COORDINATOR:  # lost between question and answer: another broker lists it
            return answer
    return groups


def java_hash(text: str) -> int:
    """Java's String.hashCode: signed 32 bits over UTF-16 units."""
    # Every heartbeat asks. Long ids are not kept, so that what is kept stays small whatever clients send.
    return _cached_hash(text) if len(text) <= CACHED_ID_LENGTH_MAX else _hash(text)


def _hash(text: str) -> int:
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for position in range(0, len(units), 2):
        value = (31 * value + (units[position] << 8 | units[position + 1])) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


_cached_hash = lru_cache(maxsize=10_000)(_hash)


def partition_of_hash(value: int, partitions: int) -> int:
    """Kafka's choice: the absolute value, where the smallest integer, which has none, counts as 0."""
    return (0 if value == -(1 << 31) else abs(value)) % partitions
