"""A group coordinator with one shard, a clock and a log that tests hold in their hands."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from moldau.core.base.clock import ManualClock
from moldau.core.base.errors import ErrorCode
from moldau.core.base.ids import ZERO_UUID
from moldau.core.base.pending import Pending
from moldau.core.coordinators.coordinator import GroupCoordinator
from moldau.core.coordinators.group.asks import (
    Commit,
    CommittedOffset,
    DescribedGroup,
    FetchedTopic,
    Join,
    JoinAnswer,
    Leaver,
    Left,
    Sync,
    SyncAnswer,
    WantedOffsets,
)
from moldau.core.coordinators.group.config import GroupConfig
from moldau.core.coordinators.group.shard import GroupShard
from moldau.core.coordinators.group.states import GroupState
from tests.support.memory_shard_log import MemoryShardLog

GROUP = "g"
SESSION_MS = 10_000
REBALANCE_MS = 60_000
RANGE = (("range", b"wants t"),)

# What a join or a commit says unless a test says otherwise.
JOIN: dict[str, Any] = {
    "group": GROUP,
    "instance": None,
    "kind": "consumer",
    "protocols": RANGE,
    "session": SESSION_MS,
    "rebalance": REBALANCE_MS,
}
COMMIT: dict[str, Any] = {
    "group": GROUP,
    "topic": "t",
    "topic_id": ZERO_UUID,
    "partition": 0,
    "metadata": "",
    "member": "",
    "instance": None,
    "generation": -1,
    "retention": -1,
}


@dataclass
class Asked:
    """A question and what came back for it, now or later."""

    given: Any

    @property
    def waits(self) -> bool:
        return isinstance(self.given, Pending) and not self.given.done

    @property
    def answer(self) -> Any:
        value = self.given.value if isinstance(self.given, Pending) else self.given
        assert value is not None, "still waiting"
        return value

    @property
    def join(self) -> JoinAnswer:
        assert isinstance(self.answer, JoinAnswer), self.answer
        return self.answer

    @property
    def sync(self) -> SyncAnswer:
        assert isinstance(self.answer, SyncAnswer), self.answer
        return self.answer

    @property
    def error(self) -> ErrorCode:
        """The refusal, or NONE for a proper answer."""
        if isinstance(self.answer, JoinAnswer):
            return self.answer.error
        return self.answer if isinstance(self.answer, ErrorCode) else ErrorCode.NONE


class Groups:
    """One shard, or as many as `partitions`, each with a log of its own."""

    def __init__(self, *, partitions: int = 1, commits_by_itself: bool = True, **options: Any) -> None:
        options.setdefault("initial_rebalance_delay_ms", 0)
        self.config = GroupConfig(**options)
        self.clock = ManualClock()
        self.logs = [MemoryShardLog(commits_by_itself=commits_by_itself) for _ in range(partitions)]
        self._numbers = itertools.count(1)
        self._start()

    def _start(self) -> None:
        self.coordinator = GroupCoordinator(
            self.config, self.clock, lambda: str(next(self._numbers)), lambda call: call()
        )
        self.coordinator.partitions = len(self.logs)
        for index, log in enumerate(self.logs):
            self.coordinator.on_partition_led(index, log)

    @property
    def log(self) -> MemoryShardLog:
        return self.logs[0]

    def shard(self, index: int = 0) -> GroupShard:
        shard = self.coordinator._runtime._slots[index].shard
        assert shard is not None
        return shard

    def restart(self) -> None:
        """The process dies and comes back: what was committed is there, nobody waits."""
        self.logs = [log.crashed() for log in self.logs]
        self._start()

    def wait(self, ms: int) -> None:
        """Time goes by, and timers with it."""
        self.clock.advance(ms)
        self.tick()

    def tick(self) -> None:
        self.coordinator.tick(self.clock.monotonic_ms())

    # Questions

    def join(self, member: str = "", *, version: int = 9, **how: Any) -> Asked:
        """`how`: group, instance, kind, protocols, session, rebalance; see JOIN."""
        how = {**JOIN, **how}
        ask = Join(
            group_id=how["group"],
            member_id=member,
            instance_id=how["instance"],
            client_id="client",
            client_host="/127.0.0.1",
            protocol_type=how["kind"],
            protocols=how["protocols"],
            session_timeout_ms=how["session"],
            rebalance_timeout_ms=how["rebalance"],
            needs_member_id=version >= 4,
            knows_skip_assignment=version >= 9,
        )
        return Asked(self.coordinator.join(ask))

    def enter(self, **how: Any) -> tuple[str, Asked]:
        """Both joins of a new dynamic member: its id, and what came back for the second."""
        first = self.join(**how)
        assert first.error is ErrorCode.MEMBER_ID_REQUIRED
        return first.join.member_id, self.join(first.join.member_id, **how)

    def sync(
        self,
        member: str,
        generation: int,
        assignments: dict[str, bytes] | None = None,
        *,
        group: str = GROUP,
        instance: str | None = None,
        kind: str | None = "consumer",
        protocol: str | None = "range",
    ) -> Asked:
        ask = Sync(
            group_id=group,
            member_id=member,
            instance_id=instance,
            generation=generation,
            protocol_type=kind,
            protocol=protocol,
            assignments=assignments or {},
        )
        return Asked(self.coordinator.sync(ask))

    def beat(self, member: str, generation: int, *, group: str = GROUP, instance: str | None = None) -> ErrorCode:
        answer = self.coordinator.heartbeat(group, member, instance, generation)
        assert isinstance(answer, ErrorCode)
        return answer

    def leave(self, *members: str | tuple[str, str | None], group: str = GROUP) -> list[ErrorCode]:
        leavers = [Leaver(who, None) if isinstance(who, str) else Leaver(*who) for who in members]
        answers: list[Left] = Asked(self.coordinator.leave(group, leavers)).answer
        return [answer.error for answer in answers]

    def commit(self, offset: int, *, version: int = 9, **how: Any) -> Asked:
        """`how`: group, topic, topic_id, partition, metadata, member, instance, generation, retention; see COMMIT."""
        how = {**COMMIT, **how}
        ask = Commit(
            group_id=how["group"],
            member_id=how["member"],
            instance_id=how["instance"],
            generation=how["generation"],
            retention_ms=how["retention"],
            offsets=[CommittedOffset(how["topic"], how["topic_id"], how["partition"], offset, -1, how["metadata"])],
            knows_group_id_not_found=version >= 9,
        )
        return Asked(self.coordinator.commit(ask))

    def committed(self, group: str = GROUP, topics: list[WantedOffsets] | None = None) -> dict[tuple[str, int], int]:
        """Offsets by topic and partition, as OffsetFetch answers them."""
        answer: list[FetchedTopic] = Asked(self.coordinator.fetch(group, topics, require_stable=True)).answer
        assert isinstance(answer, list)
        return {(topic.topic, part.partition): part.offset for topic in answer for part in topic.partitions}

    def describe(self, group: str = GROUP) -> DescribedGroup:
        answer = Asked(self.coordinator.describe(group)).answer
        assert isinstance(answer, DescribedGroup), answer
        return answer

    def state(self, group: str = GROUP) -> GroupState:
        answer = Asked(self.coordinator.describe(group)).answer
        return answer.state if isinstance(answer, DescribedGroup) else GroupState.DEAD

    # Whole stories

    def stable(self, members: int = 2, **how: Any) -> list[str]:
        """A stable group of that many dynamic members, the leader first, each assigned its own number."""
        ids: list[str] = []
        for _ in range(members):
            member, _ = self.enter(**how)
            for other in ids:
                self.join(other, **how)
            ids.append(member)
        last = self.join(ids[0], **how)  # the leader's rejoin starts the last round, for everyone the same
        for other in ids[1:]:
            self.join(other, **how)
        generation = last.join.generation
        leader = last.join.leader
        group = how.get("group", GROUP)
        self.sync(leader, generation, {member: str(n).encode() for n, member in enumerate(ids)}, group=group)
        for other in ids:
            self.sync(other, generation, group=group)
        assert self.state(group) is GroupState.STABLE
        return ids

    def generation(self, group: str = GROUP) -> int:
        return self.shard(self.coordinator.partition_for(group)).groups[group].generation
