"""The controller: nothing is seen or answered before it is committed, and failed appends leave no trace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moldau.core.base.errors import ErrorCode, Refusal, StorageError
from moldau.core.base.pending import Pending
from moldau.core.metadata import records
from moldau.core.metadata.creation import Created, NewTopic
from moldau.core.metadata.image import ClusterImage
from moldau.core.metadata.loader import Loader
from moldau.core.metadata.topics import DoomedTopic
from moldau.core.protocol.stored.metadata import BeginTransactionRecord, FeatureLevelRecord, RemoveTopicRecord
from moldau.core.quorum.driver import QuorumConfig
from tests.support.images import registration
from tests.support.manual_log import Node


def started(node: Node | None = None) -> Node:
    node = node or Node()
    pending = node.controller.start(registration(directories=node.identity.directory_ids))
    assert not pending.done
    node.log.sync()
    assert pending.value is True
    return node


def committed(node: Node, pending: Pending[Any]) -> Any:
    assert not pending.done
    node.log.sync()
    assert pending.done
    return pending.value


def test_a_first_start() -> None:
    node = Node()
    pending = node.controller.start(registration())
    assert node.controller.image.offset == -1
    assert not pending.done
    node.log.sync()
    assert pending.value is True
    image = node.controller.image
    assert image.cluster_id == node.identity.cluster_id
    assert image.features == {"metadata.version": 30}
    assert image.brokers[1].live
    assert image.brokers[1].epoch == node.controller.broker_epoch
    assert image.epoch == node.quorum.epoch == 1
    assert image.offset == node.log.end_offset - 1


def test_a_topic_is_seen_and_answered_when_it_is_committed() -> None:
    node = started()
    seen: list[tuple[ClusterImage, ClusterImage]] = []
    node.controller.on_image.append(lambda new, old: seen.append((new, old)))
    before = node.controller.image
    pending = node.controller.create_topics([NewTopic("orders", 2)])
    assert "orders" not in node.controller.image.topics_by_name
    answers = committed(node, pending)
    assert isinstance(answers["orders"], Created)
    assert seen == [(node.controller.image, before)]
    assert len(node.controller.image.topics_by_name["orders"].partitions) == 2


def test_the_next_request_is_decided_over_what_was_appended() -> None:
    node = started()
    first = node.controller.create_topics([NewTopic("orders")])
    second = node.controller.create_topics([NewTopic("orders")])
    deletion = node.controller.delete_topics([DoomedTopic("orders")])
    assert not second.done
    node.log.sync()
    assert isinstance(first.value["orders"], Created)  # type: ignore[index]
    assert second.value["orders"].code == ErrorCode.TOPIC_ALREADY_EXISTS  # type: ignore[index,union-attr]
    assert deletion.value[0].refusal is None  # type: ignore[index,union-attr]
    assert node.controller.image.topics_by_name == {}


def test_answers_come_in_order_and_only_up_to_what_is_synced() -> None:
    node = started()
    first = node.controller.create_topics([NewTopic("a")])
    end = node.log.end_offset
    second = node.controller.create_topics([NewTopic("b")])
    node.log.sync(end)
    assert first.done
    assert not second.done
    assert list(node.controller.image.topics_by_name) == ["a"]
    node.log.sync()
    assert second.done


def test_validation_makes_nothing() -> None:
    node = started()
    end = node.log.end_offset
    pending = node.controller.create_topics([NewTopic("a")], validate_only=True)
    assert isinstance(pending.value["a"], Created)  # type: ignore[index]
    assert node.log.end_offset == end


def test_no_time_to_wait() -> None:
    node = started()
    late = Refusal(ErrorCode.REQUEST_TIMED_OUT)
    assert node.controller.create_topics([NewTopic("a")], timeout_ms=0).value == late
    assert node.controller.delete_topics([DoomedTopic("a")], timeout_ms=-1).value == late


def test_a_commit_that_takes_too_long() -> None:
    node = started()
    short = node.controller.create_topics([NewTopic("a")], timeout_ms=100)
    long = node.controller.create_topics([NewTopic("b")], timeout_ms=10_000)
    node.clock.advance(100)
    node.controller.tick()
    assert short.value == Refusal(ErrorCode.REQUEST_TIMED_OUT)
    assert not long.done
    node.log.sync()
    assert set(node.controller.image.topics_by_name) == {"a", "b"}
    assert long.done


def test_topics_are_ensured_once() -> None:
    node = started()
    first, second = node.controller.ensure_topic("auto"), node.controller.ensure_topic("auto")
    node.log.sync()
    assert (first.value, second.value) == (True, True)
    assert node.controller.ensure_topic("auto").value is True
    refused = node.controller.ensure_topic("a b").value
    assert isinstance(refused, Refusal)
    assert refused.code == ErrorCode.INVALID_TOPIC_EXCEPTION


def test_internal_topics_are_made_as_they_must_be() -> None:
    node = started()
    committed(node, node.controller.ensure_topic("__consumer_offsets"))
    image = node.controller.image
    topic = image.topics_by_name["__consumer_offsets"]
    assert len(topic.partitions) == 4
    assert topic.partitions[0].replicas == (1,)
    assert image.config(2, "__consumer_offsets") == {"cleanup.policy": "compact"}


def test_producer_ids() -> None:
    node = started()
    assert committed(node, node.controller.allocate_producer_ids()) == range(1000)
    again = started(node.again())
    assert committed(again, again.controller.allocate_producer_ids()) == range(1000, 2000)


def test_settings_that_change_nothing_yet_are_told(caplog: pytest.LogCaptureFixture) -> None:
    node = started()
    committed(node, node.controller.create_topics([NewTopic("a", configs=[("preallocate", "true")])]))
    assert "topic a: accepted but not acted on in this release: preallocate" in caplog.text


def test_a_restart_finds_everything_and_raises_the_leader_epochs() -> None:
    node = started()
    committed(node, node.controller.create_topics([NewTopic("a", 3, configs=[("retention.ms", "5")]), NewTopic("b")]))
    again = started(node.again())
    image = again.controller.image
    assert again.quorum.epoch == image.epoch == 2
    assert image.config(2, "a") == {"retention.ms": "5"}
    for topic in image.topics_by_name.values():
        assert topic.id == node.controller.image.topics_by_name[topic.name].id
        assert {partition.leader_epoch for partition in topic.partitions} == {1}
    assert image.brokers[1].epoch > node.controller.broker_epoch


def test_a_failed_append_is_as_if_it_never_was() -> None:
    node = started()
    kept = node.controller.create_topics([NewTopic("kept")])
    end = node.log.end_offset
    lost = node.controller.create_topics([NewTopic("lost")])
    node.log.fail(end)
    assert lost.value == Refusal(ErrorCode.KAFKA_STORAGE_ERROR, "the metadata log could not be written")
    assert not kept.done
    again = node.controller.create_topics([NewTopic("lost")])
    node.log.sync()
    assert kept.done
    assert isinstance(again.value["lost"], Created)  # type: ignore[index]
    assert set(node.controller.image.topics_by_name) == {"kept", "lost"}


def test_a_broken_disk_fails_everyone_who_waits() -> None:
    node = started()
    waiting = node.controller.create_topics([NewTopic("a")])
    node.log.break_disk()
    assert isinstance(waiting.value, Refusal)
    assert waiting.value.code == ErrorCode.KAFKA_STORAGE_ERROR
    refused = node.controller.create_topics([NewTopic("b")]).value
    assert isinstance(refused, Refusal)
    assert refused.code == ErrorCode.KAFKA_STORAGE_ERROR


def test_before_the_start_there_is_no_controller() -> None:
    refused = Node().controller.create_topics([NewTopic("a")]).value
    assert isinstance(refused, dict)  # without brokers nothing can be placed
    node = Node()
    node.controller._latest = started().controller.image
    answer = node.controller.create_topics([NewTopic("a")]).value
    assert isinstance(answer, Refusal)
    assert answer.code == ErrorCode.NOT_CONTROLLER


def test_a_transaction_that_nobody_ended_is_aborted() -> None:
    node = started()
    level = FeatureLevelRecord(name="group.version", feature_level=1)
    assert isinstance(node.quorum.append([records.encode(BeginTransactionRecord()), records.encode(level)]), int)
    again = started(node.again())
    assert "group.version" not in again.controller.image.features
    committed(again, again.controller.create_topics([NewTopic("a")]))
    third = started(again.again())
    assert "a" in third.controller.image.topics_by_name
    assert "group.version" not in third.controller.image.features


def test_metadata_that_cannot_be_replayed_stops_the_start() -> None:
    node = started()
    node.quorum.append([records.encode(RemoveTopicRecord(topic_id=b"x" * 16))])
    with pytest.raises(StorageError, match="cannot be replayed"):
        node.again().controller.start(registration())


def test_metadata_of_another_format_stops_the_start() -> None:
    node = started()
    node.quorum.append([records.encode(FeatureLevelRecord(name="metadata.version", feature_level=33))])
    with pytest.raises(StorageError, match="needs a newer release"):
        node.again().controller.start(registration())


def replay_of(node: Node) -> ClusterImage:
    """What the log and the newest snapshot say now."""
    loader = Loader(ClusterImage(cluster_id=node.identity.cluster_id))
    for entry in node.again().quorum.recover():
        loader.replay(
            [records.decode(value) for value in entry.values], entry.last_offset, entry.epoch, entry.timestamp_ms
        )
    return loader.image()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_happens_the_log_says_what_the_controller_says(data: st.DataObject) -> None:
    """Creations, deletions, failures and restarts in any order, with snapshots every few records."""
    node = started(Node(config=QuorumConfig(snapshot_bytes=data.draw(st.sampled_from([1, 600, 1 << 20])))))
    names = st.sampled_from(["a", "b", "c.d", "c_d"])
    for _ in range(data.draw(st.integers(1, 15))):
        action = data.draw(st.sampled_from(["create", "delete", "ids", "sync", "fail", "restart"]))
        if action == "create":
            topic = NewTopic(data.draw(names), data.draw(st.integers(1, 3)), configs=[("flush.messages", "1")])
            node.controller.create_topics([topic])
        elif action == "delete":
            node.controller.delete_topics([DoomedTopic(data.draw(names))])
        elif action == "ids":
            node.controller.allocate_producer_ids()
        elif action == "sync":
            node.log.sync()
            node.deferred.run()
        elif action == "fail":
            ends = [base for base in node.log.stored if base >= node.log.synced_offset]
            if ends:
                node.log.fail(data.draw(st.sampled_from(ends)))
        else:
            node = started(node.again())
        latest, stored = node.controller._latest, replay_of(node)
        for area in ("brokers", "topics_by_id", "topics_by_name", "similar_names", "configs", "features"):
            assert getattr(latest, area) == getattr(stored, area), area
        assert latest.next_producer_id == stored.next_producer_id
    node.log.sync()
    assert node.controller.image is node.controller._latest
