"""Every group API, in every version, asked of Moldau and of Apache Kafka: the answers are the same, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moldau.core.coordinators.group.config import OFFSETS_TOPIC, GroupConfig
from moldau.core.coordinators.group.shard import GroupShard
from moldau.core.protocol.batch import read_batches
from moldau.core.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from tests.support import tools
from tests.support.admin import make_topic
from tests.support.broker import MoldauBroker
from tests.support.group_transcript import RANGE, STICKY, Teller
from tests.support.peer import ApacheKafka
from tests.support.process import BrokerProcess
from tests.support.wire import Wire

pytestmark = pytest.mark.peer

TOPIC = "t"
CHANGED = (("range", b"\0\0\0\0\0\0\xff\xff\xff\xff"),)


Transcript = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> tuple[Transcript, Path]:
    """What Apache Kafka said, and the data it left."""
    tools.need_peer()
    broker = ApacheKafka(tmp_path_factory.mktemp("kafka"))
    return told(broker), broker.data_dir


def test_both_say_the_same(kafka: tuple[Transcript, Path], tmp_path: Path) -> None:
    moldau = told(MoldauBroker(tmp_path))
    differences = [pair for pair in zip(kafka[0], moldau, strict=True) if pair[0] != pair[1]]
    assert differences == [], "\n".join(f"Kafka:  {theirs}\nMoldau: {ours}" for theirs, ours in differences)


def test_our_shard_reads_what_kafka_wrote(kafka: tuple[Transcript, Path], caplog: pytest.LogCaptureFixture) -> None:
    transcript, data_dir = kafka
    shard = GroupShard(GroupConfig(), lambda: "")
    for segment in data_dir.glob(f"{OFFSETS_TOPIC}-*/*.log"):
        for batch in read_batches(segment.read_bytes()):
            shard.load(bytes(batch.data()))
    assert caplog.records == []
    [listed] = [answer for label, answer in transcript if label == "list v5"][:1]
    # A rebalance in progress is in no log.
    at_rest = {group["group_id"]: group for group in listed["groups"] if group["group_state"] in ("Empty", "Stable")}
    assert len(at_rest) > 20
    for name, group in at_rest.items():
        ours = shard.groups[name]
        assert (ours.protocol_type or "", ours.state.value) == (group["protocol_type"], group["group_state"])
    offset = shard.offsets.get("offsets-8", TOPIC, 0)
    assert offset is not None
    assert (offset.offset, offset.metadata) == (5, "m")


def told(broker: BrokerProcess) -> Transcript:
    with broker:
        make_topic(broker.bootstrap, TOPIC, 2)
        with Wire(broker.host, broker.port) as wire:
            request = MetadataRequest(topics=[MetadataRequestTopic(name=TOPIC)])
            [topic] = wire.call(request, MetadataResponse, 12).topics
        teller = Teller(broker.host, broker.port, TOPIC, topic.topic_id)
        try:
            for tell in (coordinators, nobody_there, a_groups_life, refusals, instances, offsets, lists):
                tell(teller)
        finally:
            teller.close()
        return teller.transcript


def coordinators(teller: Teller) -> None:
    for version in range(7):
        teller.find(version, "some group")
    for version in range(4, 7):
        teller.find(version, "a", "", "b")
    teller.wait_for_all_shards()


def nobody_there(teller: Teller) -> None:
    """Questions about groups that do not exist."""
    for version in range(5):
        teller.beat(version, "none", 1, "m")
    for version in range(6):
        teller.sync(version, "none", 1, "m")
        teller.leave(version, "none", ("m", None))
    for version in range(10):
        teller.join(version, "none", "stranger")
        teller.join(version, "", session=10_000)
        teller.join(version, "none", session=5_999)
    for version in range(7):
        teller.describe(version, "none", operations=version >= 3)
    for version in range(2, 11):
        teller.commit(version, "none", (TOPIC, 0, 5, "m"), generation=1, member="m")
    for version in range(1, 11):
        teller.fetch(version, "none", {TOPIC: [0, 7], "nowhere": [0]})


def a_groups_life(teller: Teller) -> None:
    """Two members come, read, commit and go, in every version."""
    for version in range(10):
        group = f"life-{version}"
        leader = teller.enter(version, group).member_id
        teller.describe(min(version, 6), group)
        assignments = {leader: b"\0\0all"}
        teller.sync(min(version, 5), group, 1, leader, assignments=assignments)
        teller.beat(min(version, 4), group, 1, leader)
        teller.commit(version + 1 if version else 2, group, (TOPIC, 0, version, "m"), generation=1, member=leader)
        second = ""
        if version >= 4:
            second = teller.join(version, group).member_id
        newcomer = teller.waiting_join(version, group, second)
        while True:  # until the newcomer's request has arrived
            teller.transcript, kept = [], teller.transcript
            teller.beat(0, group, 1, leader)
            [(_, beat)], teller.transcript = teller.transcript, kept
            if beat["error_code"] == 27:
                break
        teller.describe(min(version, 6), group)
        teller.commit(version + 1 if version else 2, group, (TOPIC, 1, version, None), generation=1, member=leader)
        teller.sync(min(version, 5), group, 1, leader)
        again = teller.join(version, group, leader)
        second = newcomer().member_id
        teller.describe(min(version, 6), group)
        teller.commit(8, group, (TOPIC, 1, version, ""), generation=2, member=leader)
        teller.beat(0, group, 2, second)
        teller.join(version, group, second)
        teller.join(version, group, leader)
        assignments = {leader: b"\0\0half", "somebody else": b"x"}
        teller.sync(min(version, 5), group, again.generation_id, leader, assignments=assignments)
        teller.sync(min(version, 5), group, again.generation_id, second)
        teller.join(version, group, second)
        teller.describe(min(version, 6), group, operations=version >= 3)
        teller.leave(min(version, 5), group, (second, None), ("stranger", None))
        teller.beat(0, group, 2, leader)
        teller.leave(min(version, 5), group, (leader, None))
        teller.describe(min(version, 6), group)
        teller.fetch(max(version, 1), group, {TOPIC: [0, 1]})
        teller.commit(9, group, (TOPIC, 0, 9, ""), generation=3, member=leader)
        teller.commit(9, group, (TOPIC, 0, 9, ""))


def refusals(teller: Teller) -> None:
    """Members that are not, generations that are over, protocols that do not fit."""
    member = teller.enter(9, "no").member_id
    teller.sync(5, "no", 1, member, assignments={member: b"all"})
    for version in (0, 3, 4):
        teller.beat(version, "no", 0, member)
        teller.beat(version, "no", 1, "stranger")
    for version in (0, 3, 5):
        teller.sync(version, "no", 0, member)
        teller.sync(version, "no", 1, "stranger")
    teller.sync(5, "no", 1, member, kind="connect")
    teller.sync(5, "no", 1, member, protocol="sticky")
    teller.sync(5, "no", 1, member, protocol=None)
    teller.sync(5, "no", 9, "stranger", kind=None)
    for version in (3, 6, 7, 9):
        teller.join(version, "no", kind="connect")
        teller.join(version, "no", protocols=STICKY)
        teller.join(version, "no", protocols=())
        teller.join(version, "no", "stranger")
        teller.join(version, "no", member, protocols=STICKY)
    for who in ({"generation": 0}, {"generation": -1}, {"generation": 1, "member": "x"}, {"member": ""}):
        for version in (5, 8, 9):
            teller.commit(version, "no", (TOPIC, 0, 1, ""), **{"member": member, **who})
    pending = teller.join(9, "no").member_id
    teller.beat(4, "no", 1, pending)
    teller.sync(5, "no", 1, pending)
    teller.commit(9, "no", (TOPIC, 0, 1, ""), generation=1, member=pending)
    teller.join(9, "no", pending, instance="i")
    teller.describe(6, "no")
    teller.leave(5, "no", (pending, None))


def instances(teller: Teller) -> None:
    """Static members that come back."""
    for version in (5, 8, 9):
        group = f"static-{version}"
        old = teller.join(version, group, instance="a").member_id
        teller.sync(4, group, 1, old, instance="a", assignments={old: b"A"})
        new = teller.join(version, group, instance="a").member_id
        teller.beat(3, group, 1, old, "a")
        teller.beat(3, group, 0, old, "a")
        teller.beat(3, group, 1, old)
        teller.beat(3, group, 1, new, "x")
        teller.sync(4, group, 1, old, instance="a")
        teller.sync(4, group, 1, new, instance="a")
        teller.join(version, group, old, instance="a")
        teller.commit(8, group, (TOPIC, 0, 1, ""), generation=1, member=old, instance="a")
        teller.commit(8, group, (TOPIC, 0, 1, ""), generation=1, member=new, instance="a")
        teller.join(version, group, instance="a", protocols=CHANGED)
        teller.describe(5, group)
        teller.join(version, group, instance="a", protocols=(*STICKY, *RANGE))
        teller.describe(5, group)
        teller.leave(4, group, (old, "a"), ("", "x"), ("", "a"), ("", "a"))
        teller.describe(5, group)


def offsets(teller: Teller) -> None:
    """Positions stored and read, by name and by id."""
    for version in range(2, 11):
        group = f"offsets-{version}"
        long = "x" * 4097
        parts = ((TOPIC, 0, 5, "m"), (TOPIC, 1, -5, long), (TOPIC, 7, 1, ""), ("nowhere", 0, 1, ""))
        teller.commit(version, group, *parts)
        teller.commit(version, group, (TOPIC, 1, -5, None))
        teller.commit(version, group)
        teller.fetch(max(version - 1, 1), group, {TOPIC: [0, 1, 7], "nowhere": [0]})
        teller.fetch(version, group, None)
        teller.describe(6, group)
    teller.commit(8, "", (TOPIC, 0, 5, "m"))
    teller.fetch(7, "", {TOPIC: [0]})


def lists(teller: Teller) -> None:
    """All groups, with and without filters."""
    for version in range(6):
        teller.list(version)
    for states in (["empty"], ["Stable"], ["Dead"], ["Empty", "stable"]):
        teller.list(4, states)
    for types in (["classic"], ["Classic"], ["consumer"], ["share"]):
        teller.list(5, types=types)
