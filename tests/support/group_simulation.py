"""Groups under random clients, a random log and random crashes, from a seed, with the rules that must always hold.

Clients behave as real ones do, but also ask twice, hang up, die, come back under the same instance, and use wrong
ids. The log commits late, loses what is not committed, and the process dies. Whatever happens:

- a group with members has one leader, who is one of them; ids and instances lead to one place;
- generations do not go back, neither in memory nor in the log;
- an assignment is the one the leader of that generation gave;
- a commit that was answered can be read, until a later one takes its place;
- a shard made from the log has what the live one has;
- everyone who waits is answered in the end.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group import records
from moldau.core.coordinators.group.asks import JoinAnswer, Leaver, SyncAnswer, WantedOffsets
from moldau.core.coordinators.group.classic import ClassicGroup
from moldau.core.coordinators.group.config import GroupConfig
from moldau.core.coordinators.group.shard import GroupShard
from moldau.core.coordinators.group.states import GroupState
from moldau.core.protocol.batch import RecordBatch
from tests.support.groups import Asked, Groups

GROUPS = ("red", "green", "blue")
OFFERS = (
    (("range", b"r"), ("sticky", b"s")),
    (("sticky", b"s"), ("range", b"r")),
    (("range", b"r"),),
)
NEVER_MS = 10**12


@dataclass
class Client:
    """A consumer: what it knows, what it waits for, what it does next."""

    group: str
    instance: str | None
    version: int
    protocols: tuple[tuple[str, bytes], ...]
    member: str = ""
    generation: int = -1
    protocol: str = ""
    members: tuple[str, ...] = ()
    next: str = "join"
    asked: Asked | None = None
    kind: str = ""


@dataclass
class Committed:
    """All commits of one partition of one group, in the order they were decided."""

    issued: list[int] = field(default_factory=list)
    answered: int = -1  # index of the newest that was answered with NONE


class Simulation:
    """One seed's world."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.groups = Groups(
            partitions=2,
            commits_by_itself=False,
            initial_rebalance_delay_ms=self.random.choice([0, 3000]),
            max_size=self.random.choice([4, 100]),
            offsets_retention_check_interval_ms=NEVER_MS,
        )
        self.clients: list[Client] = []
        self.commits: dict[tuple[str, int], Committed] = {}
        self.open_commits: list[tuple[tuple[str, int], int, Asked]] = []
        self.open_reads: list[tuple[tuple[str, int], int, Asked]] = []
        self.given: list[Asked] = []  # every question whose answer is still out, in any hands
        self.generations: dict[tuple[int, str], int] = {}
        self.shards: list[GroupShard] = []  # kept, so that no two of them share an id
        self.offset = 0
        self.moves = [
            (60, self.someone_acts),
            (6, self.someone_comes),
            (8, self.time_passes),
            (8, self.log_commits),
            (4, self.someone_commits),
            (4, self.someone_reads),
            (3, self.someone_asks_twice),
            (2, self.someone_hangs_up),
            (2, self.someone_leaves),
            (2, self.instance_comes_back),
            (2, self.stranger_asks),
            (1, self.log_loses),
            (1, self.process_dies),
        ]

    def run(self, steps: int) -> None:
        weights = [weight for weight, _ in self.moves]
        for step in range(steps):
            self.random.choices([move for _, move in self.moves], weights)[0]()
            self.hear()
            self.check_state()
            if step % 20 == 0:
                self.check_replay()
        self.end()

    # What happens

    def someone_comes(self) -> None:
        if len(self.clients) < 12:
            instance = f"i{self.random.randrange(4)}" if self.random.random() < 0.4 else None
            version = self.random.choice([3, 8, 9]) if instance is None else self.random.choice([8, 9])
            self.clients.append(Client(self.random.choice(GROUPS), instance, version, self.random.choice(OFFERS)))

    def someone_acts(self) -> None:
        if self.clients:
            self.act(self.random.choice(self.clients))

    def act(self, client: Client) -> None:
        if client.asked is not None and client.asked.waits:
            return
        if client.next == "join":
            self.ask(client, "join", self.join(client))
        elif client.next == "sync":
            self.ask(client, "sync", self.sync(client))
        else:
            beat = self.groups.coordinator.heartbeat(client.group, client.member, client.instance, client.generation)
            self.ask(client, "beat", Asked(beat))

    def join(self, client: Client) -> Asked:
        return self.groups.join(
            client.member,
            group=client.group,
            instance=client.instance,
            version=client.version,
            protocols=client.protocols,
            rebalance=20_000,
        )

    def sync(self, client: Client) -> Asked:
        assignments = {member: assignment(client.group, client.generation, member) for member in client.members}
        return self.groups.sync(
            client.member,
            client.generation,
            assignments,
            group=client.group,
            instance=client.instance,
            protocol=client.protocol,
        )

    def ask(self, client: Client, kind: str, asked: Asked) -> None:
        client.asked, client.kind = asked, kind
        self.given.append(asked)

    def time_passes(self) -> None:
        self.groups.wait(self.random.choice([1, 500, 3000, 6000, 11_000]))

    def log_commits(self) -> None:
        for log in self.groups.logs:
            ends = [end for end, _ in log.stored if end > log.committed_offset]
            if ends:
                log.commit(ends[-1] if self.random.random() < 0.7 else self.random.choice(ends))

    def log_loses(self) -> None:
        self.random.choice(self.groups.logs).lose()

    def process_dies(self) -> None:
        self.groups.restart()
        self.given.clear()
        self.open_commits.clear()
        self.open_reads.clear()
        for client in self.clients:
            client.asked = None

    def someone_asks_twice(self) -> None:
        waiting = [client for client in self.clients if client.kind in ("join", "sync") and client.asked is not None]
        if waiting:
            client = self.random.choice(waiting)
            if client.next == client.kind:
                self.ask(client, client.kind, self.join(client) if client.kind == "join" else self.sync(client))

    def someone_hangs_up(self) -> None:
        if self.clients:
            client = self.clients.pop(self.random.randrange(len(self.clients)))
            if client.asked is not None and isinstance(client.asked.given, Pending):
                client.asked.given.abandon()

    def someone_leaves(self) -> None:
        if self.clients:
            client = self.clients.pop(self.random.randrange(len(self.clients)))
            leavers = [Leaver(client.member, client.instance)]
            self.given.append(Asked(self.groups.coordinator.leave(client.group, leavers)))

    def instance_comes_back(self) -> None:
        static = [client for client in self.clients if client.instance is not None]
        if static:
            client = self.random.choice(static)
            client.member, client.next, client.asked = "", "join", None

    def stranger_asks(self) -> None:
        group, generation = self.random.choice(GROUPS), self.random.randrange(-1, 4)
        member = self.random.choice(["", "stranger", *(client.member for client in self.clients)])
        self.given += [
            self.groups.join(member, group=group, instance=self.random.choice([None, "i0", "nobody"]), kind="other"),
            self.groups.sync(member, generation, {}, group=group, protocol=None),
            Asked(self.groups.coordinator.heartbeat(group, member, None, generation)),
        ]

    # Offsets

    def someone_commits(self) -> None:
        client = self.random.choice(self.clients) if self.clients else None
        self.offset += 1
        key = (client.group if client is not None else "alone", self.random.randrange(3))
        who: dict[str, Any] = {}
        if client is not None:
            who = {"member": client.member, "generation": client.generation, "instance": client.instance}
        asked = self.groups.commit(self.offset, group=key[0], partition=key[1], **who)
        history = self.commits.setdefault(key, Committed())
        history.issued.append(self.offset)
        self.open_commits.append((key, len(history.issued) - 1, asked))
        self.given.append(asked)

    def someone_reads(self) -> None:
        if self.commits:
            key = self.random.choice(list(self.commits))
            wanted = [WantedOffsets("t", bytes(16), [key[1]])]
            asked = Asked(self.groups.coordinator.fetch(key[0], wanted, require_stable=True))
            self.open_reads.append((key, self.commits[key].answered, asked))
            self.given.append(asked)

    # What comes back

    def hear(self) -> None:
        for client in self.clients:
            if client.asked is not None and not client.asked.waits:
                asked, client.asked = client.asked, None
                if not isinstance(asked.given, Pending) or asked.given.value is not None:
                    self.take(client, asked)
        for key, index, asked in self.open_commits:
            if not asked.waits and asked.answer == [ErrorCode.NONE]:
                self.commits[key].answered = max(self.commits[key].answered, index)
        self.open_commits = [entry for entry in self.open_commits if entry[2].waits]
        for key, answered, asked in self.open_reads:
            if not asked.waits:
                self.check_read(key, answered, asked)
        self.open_reads = [entry for entry in self.open_reads if entry[2].waits]
        self.given = [asked for asked in self.given if asked.waits]

    def take(self, client: Client, asked: Asked) -> None:
        if isinstance(asked.answer, JoinAnswer) and asked.error is ErrorCode.NONE:
            answer = asked.join
            assert not answer.members or answer.member_id == answer.leader, "members are for the leader only"
            client.member, client.generation = answer.member_id, answer.generation
            client.protocol = answer.protocol or ""
            client.members = () if answer.skip_assignment else tuple(member.member_id for member in answer.members)
            client.next = "sync"
        elif isinstance(asked.answer, SyncAnswer):
            self.check_assignment(client, asked.sync.assignment)
            client.next = "beat"
        else:
            self.take_error(client, asked)

    def take_error(self, client: Client, asked: Asked) -> None:
        error = asked.error
        if error is ErrorCode.MEMBER_ID_REQUIRED:
            client.member = asked.join.member_id
        elif error in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID):
            client.member, client.next = "", "join"
        elif error in (ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION):
            client.next = "join"
        elif error in (ErrorCode.GROUP_MAX_SIZE_REACHED, ErrorCode.INCONSISTENT_GROUP_PROTOCOL):
            client.member, client.next, client.protocols = "", "join", OFFERS[0]
        elif error is not ErrorCode.NONE:
            assert error.retriable, error

    # What must hold

    def check_assignment(self, client: Client, given: bytes) -> None:
        if client.instance is None and given:
            assert given == assignment(client.group, client.generation, client.member), "somebody else's assignment"
        group = self.group(client.group)
        if group is not None and group.state is GroupState.STABLE and group.generation == client.generation:
            member = group.members.by_id.get(client.member)
            assert member is None or member.assignment == given, "the group says otherwise"
            assert given or client.instance is not None or client.member not in self.assigned(group), "lost on the way"

    def assigned(self, group: ClassicGroup) -> set[str]:
        """Members of a stable group whose leader, a client that had the list, assigned something to all of it."""
        leaders = [client for client in self.clients if client.member == group.members.leader and client.members]
        return set(leaders[0].members) if leaders and leaders[0].generation == group.generation else set()

    def check_read(self, key: tuple[str, int], answered: int, asked: Asked) -> None:
        if isinstance(asked.answer, ErrorCode):
            assert asked.answer.retriable
            return
        offset = asked.answer[0].partitions[0].offset
        history = self.commits[key]
        index = -1 if offset == -1 else history.issued.index(offset)
        assert index >= answered, f"commit {answered} of {key} was answered, {index} was read"

    def group(self, name: str) -> ClassicGroup | None:
        slot = self.groups.coordinator._runtime._slots[self.groups.coordinator.partition_for(name)]
        return None if slot.shard is None else slot.shard.groups.get(name)

    def check_state(self) -> None:
        places: dict[str, str] = {}
        for name in GROUPS:
            group = self.group(name)
            if group is None:
                continue
            members = group.members
            assert (members.leader in members.by_id) if members else (members.leader is None), "one leader, a member"
            assert (not members) == (group.state is GroupState.EMPTY) or group.state is GroupState.PREPARING_REBALANCE
            for member_id in [*members.by_id, *members.pending]:
                assert places.setdefault(member_id, name) == name
            assert not members.pending & set(members.by_id), "a member, or about to be one"
            assert members.unsynced <= set(members.by_id)
            owners = {member.instance_id: member.member_id for member in members if member.instance_id is not None}
            assert members.instances == owners
            assert members.waiting_joins == sum(member.waiting_join is not None for member in members)
            if group.state is not GroupState.PREPARING_REBALANCE:
                assert not members.waiting_joins, "nobody waits to join but in a rebalance"
            if members:
                assert members.choose_protocol() is not None, "some protocol is common to all"
            self.check_generation(group)

    def check_generation(self, group: ClassicGroup) -> None:
        shard = self.groups.shard(self.groups.coordinator.partition_for(group.group_id))
        if not any(shard is known for known in self.shards):
            self.shards.append(shard)
        seen = self.generations.get((id(shard), group.group_id), -1)
        assert group.generation >= seen, "a generation went back"
        self.generations[id(shard), group.group_id] = group.generation

    def check_replay(self) -> None:
        for index, log in enumerate(self.groups.logs):
            live = self.groups.coordinator._runtime._slots[index].shard
            stored: dict[str, int] = {}
            fresh = GroupShard(GroupConfig(), lambda: "")
            for batch in log.batches():
                fresh.load(batch)
                for record in RecordBatch(batch).records():
                    key = records.parse_key(record.key or b"")
                    if isinstance(key, records.GroupKey) and record.value is not None:
                        generation = records.parse_group(record.value).generation
                        assert generation >= stored.get(key.group_id, -1), "a stored generation went back"
                        stored[key.group_id] = generation
            if live is not None:
                assert offsets(fresh) == offsets(live)
                for group in live.groups.values():
                    if group.state in (GroupState.EMPTY, GroupState.STABLE):
                        assert durable(fresh.groups[group.group_id]) == durable(group)

    def end(self) -> None:
        """Nothing happens any more but time."""
        for _ in range(10):
            for log in self.groups.logs:
                log.commit()
            self.groups.wait(21_000)
            self.hear()
            self.check_state()
        assert self.given == [], "somebody waits for ever"
        self.check_replay()
        for key, history in self.commits.items():
            wanted = [WantedOffsets("t", bytes(16), [key[1]])]
            asked = Asked(self.groups.coordinator.fetch(key[0], wanted, require_stable=True))
            self.check_read(key, history.answered, asked)


def assignment(group: str, generation: int, member: str) -> bytes:
    """What a leader of these simulations assigns."""
    return f"{group}/{generation}/{member}".encode()


def offsets(shard: GroupShard) -> dict[tuple[str, str, int], records.Offset]:
    return {
        (group, topic, partition): offset
        for group in [*GROUPS, "alone"]
        for topic, partition, offset in shard.offsets.of_group(group)
    }


def durable(group: ClassicGroup) -> tuple[Any, ...]:
    """What of a group at rest must be in its record."""
    members = {
        member.member_id: (
            member.instance_id,
            member.client_id,
            member.client_host,
            member.rebalance_timeout_ms,
            member.session_timeout_ms,
            member.metadata(group.protocol),
            member.assignment,
        )
        for member in group.members
    }
    said = (group.state, group.generation, group.protocol_type, group.protocol, group.members.leader)
    return (*said, group.state_since_ms, group.recorded, members)
