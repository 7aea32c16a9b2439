"""Metadata on a real disk: restarts, snapshots, and what Apache Kafka's tools make of the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.metadata.creation import Created, NewTopic
from moldau.core.metadata.image import ClusterImage
from moldau.core.metadata.topics import DoomedTopic
from moldau.core.quorum.driver import QuorumConfig
from tests.support import peer
from tests.support.disk_node import DiskNode
from tests.support.memory_files import MemoryFiles
from tests.support.tools import need_peer

AREAS = ("topics_by_name", "topics_by_id", "configs", "features", "next_producer_id", "similar_names")


def same(one: ClusterImage, other: ClusterImage) -> bool:
    return all(getattr(one, area) == getattr(other, area) for area in AREAS)


def work(node: DiskNode) -> None:
    topics = [NewTopic("orders", 3, configs=[("flush.messages", "1")]), NewTopic("gone"), NewTopic("a.b")]
    answers = node.answer(node.controller.create_topics(topics))
    assert all(isinstance(answer, Created) for answer in answers.values())
    assert node.answer(node.controller.delete_topics([DoomedTopic("gone")]))[0].refusal is None
    assert node.answer(node.controller.allocate_producer_ids()) == range(1000)


@pytest.mark.parametrize("orderly", [True, False], ids=["stopped", "killed"])
def test_a_restart_finds_everything(tmp_path: Path, orderly: bool) -> None:
    node = DiskNode(tmp_path)
    work(node)
    before = node.controller.image
    node.stop() if orderly else node.kill()
    again = DiskNode(tmp_path, random=node.random)
    assert again.identity == node.identity
    assert again.quorum.epoch == 2
    assert set(again.controller.image.topics_by_name) == {"orders", "a.b"}
    for topic in again.controller.image.topics_by_name.values():
        assert [partition.leader_epoch for partition in topic.partitions] == [1] * len(topic.partitions)
        assert topic.id == before.topics_by_name[topic.name].id
    assert again.controller.image.configs == before.configs
    assert again.answer(again.controller.allocate_producer_ids()) == range(1000, 2000)
    again.kill()


def test_snapshots_keep_the_log_short(tmp_path: Path) -> None:
    config = QuorumConfig(snapshot_bytes=20_000, segment_bytes=1 << 20)
    node = DiskNode(tmp_path, config=config)
    for _ in range(12):
        node.answer(node.controller.create_topics([NewTopic("big", 2000)]))
        node.answer(node.controller.delete_topics([DoomedTopic("big")]))
    work(node)
    image = node.controller.image
    names = os.listdir(node.metadata)
    assert len([name for name in names if name.endswith(".checkpoint")]) == 1
    assert sum(os.path.getsize(f"{node.metadata}/{name}") for name in names if name.endswith(".log")) < 3 << 19
    assert node.quorum.log.start_offset > 0
    node.kill()
    again = DiskNode(tmp_path, config=config, random=node.random)
    assert {name: topic.id for name, topic in again.controller.image.topics_by_name.items()} == {
        name: topic.id for name, topic in image.topics_by_name.items()
    }
    again.stop()


@pytest.mark.parametrize("seed", [None, *range(12)])
def test_what_was_answered_survives_a_power_loss(seed: int | None) -> None:
    """Unsynced bytes are lost, or torn by the seed; a snapshot may be under way."""
    files = MemoryFiles()
    config = QuorumConfig(snapshot_bytes=400)
    node = DiskNode(Path("/d"), files=files, config=config)
    known: set[str] = set()
    for round in range(4):
        for number in range(3):
            name = f"t{round}-{number}"
            node.answer(node.controller.create_topics([NewTopic(name, 2)]))
            known.add(name)
        pending = node.controller.create_topics([NewTopic(f"lost-{round}")])
        for _ in range(round):  # some of the turns that it would have taken
            if node.deferred.calls:
                node.deferred.calls.pop(0)()
        if pending.done:
            known.add(f"lost-{round}")
        files.crash(None if seed is None else seed + round)
        node = DiskNode(Path("/d"), files=files, config=config, random=node.random)
        found = set(node.controller.image.topics_by_name)
        assert known <= found <= known | {f"lost-{round}"}
        known = found
    assert node.quorum.epoch == 5


def test_a_full_disk_refuses_and_goes_on_when_there_is_space_again() -> None:
    files = MemoryFiles()
    node = DiskNode(Path("/d"), files=files)
    before = node.controller.image
    files.capacity = 0
    outcome = node.answer(node.controller.create_topics([NewTopic("late")]))
    assert isinstance(outcome, Refusal)
    assert outcome.code == ErrorCode.KAFKA_STORAGE_ERROR
    assert node.controller.image is before
    files.capacity = None
    assert isinstance(node.answer(node.controller.create_topics([NewTopic("late")]))["late"], Created)
    node.kill()
    again = DiskNode(Path("/d"), files=files, random=node.random)
    assert set(again.controller.image.topics_by_name) == {"late"}


def dumped(path: str) -> str:
    text = peer.run_tool("org.apache.kafka.tools.DumpLogSegments", "--cluster-metadata-decoder", "--files", path)
    assert "isvalid: false" not in text
    assert "Exception" not in text
    return text


@pytest.mark.peer
def test_apache_kafka_dumps_log_and_snapshots(tmp_path: Path) -> None:
    need_peer()
    node = DiskNode(tmp_path)
    start = dumped(f"{node.metadata}/00000000000000000000-0000000000.checkpoint")
    assert 'KRaftVersion {"version":0,"kRaftVersion":1}' in start
    assert '"endpoints":[{"name":"CONTROLLER","host":"localhost","port":9093}]' in start
    assert '"name":"metadata.version","featureLevel":30' in dumped(f"{node.path}/bootstrap.checkpoint")
    work(node)
    log = dumped(f"{node.metadata}/00000000000000000000.log")
    for kind in (
        "REGISTER_BROKER",
        "BROKER_REGISTRATION_CHANGE",
        "TOPIC",
        "PARTITION",
        "CONFIG",
        "REMOVE_TOPIC",
        "PRODUCER_IDS",
    ):
        assert f'"type":"{kind}_RECORD"' in log
    assert 'LeaderChange: {"version":0,"leaderId":1,"voters":[{"voterId":1}],"grantingVoters":[{"voterId":1}]}' in log
    node.stop()
    again = DiskNode(tmp_path, config=QuorumConfig(snapshot_bytes=1), random=node.random)
    (name,) = [name for name in os.listdir(node.metadata) if name.endswith(".checkpoint")]
    snapshot = dumped(f"{node.metadata}/{name}")
    assert f"Snapshot end offset: {again.controller.image.offset + 1}, epoch: 2" in snapshot
    assert '"name":"orders"' in snapshot
    assert '"leaderEpoch":1' in snapshot
    again.stop()


class DynamicKafka(peer.ApacheKafka):
    """Apache Kafka whose voters stand in the metadata, as in a directory that we formatted."""

    def _properties(self) -> dict[str, str]:
        properties = super()._properties()
        voters = properties.pop("controller.quorum.voters")
        return {**properties, "controller.quorum.bootstrap.servers": voters.partition("@")[2]}


def described(kafka: peer.ApacheKafka) -> str:
    return peer.run_tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", kafka.bootstrap, "--describe")


@pytest.mark.peer
@pytest.mark.slow
def test_apache_kafka_carries_on_our_metadata_and_we_its(tmp_path: Path) -> None:
    need_peer()
    (tmp_path / "data").mkdir()
    ours = DiskNode(tmp_path / "data")
    work(ours)
    ours.stop()
    with DynamicKafka(tmp_path) as kafka:
        text = described(kafka)
        assert "Topic: orders" in text
        assert "Configs: flush.messages=1" in text
        tool = ("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", kafka.bootstrap)
        peer.run_tool(*tool, "--create", "--topic", "theirs", "--partitions", "2")
        peer.run_tool(*tool, "--delete", "--topic", "a.b")
    again = DiskNode(tmp_path / "data", random=ours.random)
    image = again.controller.image
    assert set(image.topics_by_name) == {"orders", "theirs"}
    assert all(partition.leader == 1 for topic in image.topics_by_name.values() for partition in topic.partitions)
    again.stop()


@pytest.mark.peer
@pytest.mark.slow
def test_a_directory_of_apache_kafka_with_static_voters_is_opened_and_given_back(tmp_path: Path) -> None:
    need_peer()
    with peer.ApacheKafka(tmp_path) as kafka:
        tool = ("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", kafka.bootstrap)
        peer.run_tool(*tool, "--create", "--topic", "theirs", "--config", "retention.ms=5")
    ours = DiskNode(tmp_path / "data")
    assert ours.controller.image.config(2, "theirs") == {"retention.ms": "5"}
    assert ours.controller.image.partition("theirs", 0).leader == 1  # type: ignore[union-attr]
    assert isinstance(ours.answer(ours.controller.create_topics([NewTopic("ours")]))["ours"], Created)
    ours.stop()
    with peer.ApacheKafka(tmp_path, port=kafka.port) as kafka:
        text = described(kafka)
        assert "Topic: theirs" in text
        assert "Topic: ours" in text
