"""A broker as a whole: it starts or gives everything back, and stops with all it promised on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from moldau.core.base.errors import ConfigError, ErrorCode, StorageError
from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from moldau.core.protocol.messages.fetch import FetchResponse
from moldau.core.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from moldau.core.protocol.messages.produce import ProduceResponse
from moldau.core.server.broker import settled
from tests.support.asks import fetch_one, fetch_request, new_topic, produce, produce_request
from tests.support.inprocess import HeldFiles, InProcess
from tests.support.log_batches import make_batch
from tests.support.wire import Closed, Wire

CLEAN = ".kafka_cleanshutdown"
BATCH = make_batch()


@pytest.fixture
def files() -> Iterator[HeldFiles]:
    held = HeldFiles()
    yield held
    held.release()


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name != "MainThread"}


# -- starts


def test_a_broker_keeps_its_identity_and_its_records(tmp_path: Path) -> None:
    identities = []
    for run in range(2):
        with InProcess(tmp_path) as broker, broker.connect() as wire:
            identities.append(broker.broker.controller.image.cluster_id)
            if run == 0:
                topic = new_topic(wire)
            assert produce(wire, topic, BATCH).base_offset == run
    assert identities[0] == identities[1] != ""
    assert broker.clean


def test_a_second_start_on_the_same_directory_is_refused_with_a_reason(tmp_path: Path) -> None:
    with InProcess(tmp_path) as broker, broker.connect() as wire:
        topic = new_topic(wire)
        with pytest.raises(StorageError, match=f"{tmp_path} is in use by another process"):
            InProcess(tmp_path).start()
        assert produce(wire, topic, BATCH).error_code == 0, "the first one does not mind"


def test_a_start_that_fails_gives_everything_back(tmp_path: Path) -> None:
    before = threads()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = InProcess(tmp_path, {"listeners": f"ONE://127.0.0.1:0,TWO://127.0.0.1:{port}"})
        with pytest.raises(StorageError, match="cannot listen"):
            broker.start()
        with pytest.raises(ConnectionRefusedError):
            Wire("127.0.0.1", broker.broker.endpoints[0].port)
    assert threads() == before
    with InProcess(tmp_path) as again, again.connect() as wire:
        new_topic(wire)


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("not a directory")
    with pytest.raises(StorageError, match=str(path)):
        InProcess(path).start()


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"num\.partitions"):
        InProcess(tmp_path, {"num.partitions": "none"}).start()
    with pytest.raises(ConfigError, match=r"no\.such\.key"):
        InProcess(tmp_path, {"no.such.key": "1"}).start()
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_cannot_be_written(tmp_path: Path, files: HeldFiles) -> None:
    with InProcess(tmp_path):
        pass
    files.break_syncs(OSError(5, "EIO"))
    with pytest.raises(StorageError):
        InProcess(tmp_path, files=files).start()


# -- time


def test_time_goes_on_for_the_others_when_one_tick_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Answers expire by the ticks of the replicas, though that of the connections fails."""
    files = HeldFiles()
    with InProcess(tmp_path, files=files) as broker, broker.connect() as wire:
        topic = new_topic(wire)
        broker.on_loop(lambda: setattr(broker.broker._connections, "_to_look_at", 5))
        files.hold()
        asked = wire.send(produce_request(topic, BATCH, timeout_ms=1), 9)
        (answer,) = wire.receive(asked, ProduceResponse, 9).responses
        assert answer.partition_responses[0].error_code == ErrorCode.REQUEST_TIMED_OUT
        broker.on_loop(lambda: setattr(broker.broker._connections, "_to_look_at", []))
        files.release()
    assert "a timer failed" in caplog.text


def test_housekeeping_is_done_now_and_then(tmp_path: Path) -> None:
    with InProcess(tmp_path) as broker:
        calls: list[int] = []

        def count() -> None:
            broker.broker._directory.housekeeping = lambda: calls.append(1)  # type: ignore[method-assign]
            now = broker.broker._housekeeping_due_ms
            for ms in (now, now + 1, now + 4999, now + 5000):
                broker.broker._tick(ms)

        broker.on_loop(count)
        assert len(calls) == 2


# -- stops


def test_a_stop_answers_what_was_asked_and_leaves_a_clean_marker(tmp_path: Path, files: HeldFiles) -> None:
    broker = InProcess(tmp_path, files=files)
    broker.start()
    with broker.connect() as wire, broker.connect() as late:
        topic = new_topic(wire)
        late.call(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 3)
        files.hold()
        asked = wire.send(produce_request(topic, BATCH), 9)
        broker.turns()
        stopping = threading.Thread(target=broker.stop)
        stopping.start()
        while not broker.on_loop(lambda: broker.broker._connections.quiescing):
            pass
        with pytest.raises(OSError):
            broker.connect()
        late.send(ApiVersionsRequest("test", "1"), 3)  # not decided any more
        files.release()
        (answer,) = wire.receive(asked, ProduceResponse, 9).responses
        assert answer.partition_responses[0].base_offset == 0
        assert wire.closed_by_broker()
        with pytest.raises(Closed):
            late.receive_frame()
        stopping.join()
    assert broker.clean
    assert (tmp_path / CLEAN).exists()
    with InProcess(tmp_path) as again, again.connect() as wire:
        assert not (tmp_path / CLEAN).exists()
        assert fetch_one(wire, topic).high_watermark == 1


def test_a_long_poll_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    broker = InProcess(tmp_path)
    broker.start()
    with broker.connect() as wire:
        topic = new_topic(wire)
        asked = wire.send(fetch_request(topic, max_wait_ms=1 << 30), 12)
        broker.turns()
        assert broker.stop()
        (answer,) = wire.receive(asked, FetchResponse, 12).responses
        assert (answer.partitions[0].error_code, len(answer.partitions[0].records)) == (0, 0)
        assert wire.closed_by_broker()


def test_who_does_not_take_its_answers_costs_the_stop_half_its_time(tmp_path: Path) -> None:
    broker = InProcess(tmp_path, {"moldau.shutdown.timeout.ms": "400"})
    broker.start()
    with broker.connect() as wire, broker.connect() as other:
        topic = new_topic(other, 2000)
        request = MetadataRequest([MetadataRequestTopic(name=topic.name)])
        while not broker.on_loop(lambda: broker.broker._connections.untaken):
            wire.send(request, 12)
        assert broker.stop()
    assert (tmp_path / CLEAN).exists()


def test_a_disk_that_hangs_ends_the_stop_without_a_clean_marker(tmp_path: Path, files: HeldFiles) -> None:
    broker = InProcess(tmp_path, {"moldau.shutdown.timeout.ms": "100"}, files=files)
    broker.start()
    with broker.connect() as wire:
        topic = new_topic(wire)
        files.hold()
        asked = wire.send(produce_request(topic, BATCH), 9)
        broker.turns()
        assert not broker.stop()
        (answer,) = wire.receive(asked, ProduceResponse, 9).responses
        assert answer.partition_responses[0].error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert not (tmp_path / CLEAN).exists()


def test_a_disk_that_fails_says_so_and_the_stop_is_not_clean(tmp_path: Path, files: HeldFiles) -> None:
    broker = InProcess(tmp_path, files=files)
    broker.start()
    with broker.connect() as wire:
        topic = new_topic(wire)
        assert not broker.broker.failed.is_set()
        files.break_syncs(OSError(5, "EIO"))
        assert produce(wire, topic, BATCH).error_code == ErrorCode.KAFKA_STORAGE_ERROR
    assert broker.on_loop(broker.broker.failed.is_set)
    assert not broker.stop()
    assert not (tmp_path / CLEAN).exists()


def test_a_stop_leaves_no_thread_and_no_lock(tmp_path: Path) -> None:
    before = threads()
    broker = InProcess(tmp_path)
    broker.start()
    assert broker.stop()
    assert threads() == before
    with InProcess(tmp_path):
        pass


# -- waiting in a coroutine


def test_a_pending_answer_can_be_awaited() -> None:
    async def main() -> list[int]:
        done: Pending[int] = Pending()
        done.complete(1)
        later: Pending[int] = Pending()
        asyncio.get_running_loop().call_soon(later.complete, 2)
        return [await settled(done), await settled(later)]

    assert asyncio.run(main()) == [1, 2]


def test_who_no_longer_waits_is_not_told() -> None:
    """A stop that gave up waiting for the disk must not fail when the disk comes back."""

    async def main() -> None:
        pending: Pending[int] = Pending()
        waiting = asyncio.ensure_future(settled(pending))
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        pending.complete(1)

    asyncio.run(main())
