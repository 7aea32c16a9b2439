"""A full disk: producers hear KAFKA_STORAGE_ERROR, reads go on, producing resumes by itself when space returns."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.produce import ProduceResponse
from tests.conftest import Result
from tests.support import tools
from tests.support.admin import make_topic
from tests.support.broker import MoldauBroker
from tests.support.history import Send, problems
from tests.support.load import produce_request, read_all
from tests.support.wire import Wire

pytestmark = pytest.mark.slow

TOPIC = "full"
DISK_BYTES = 64 << 20
LEFT_BYTES = 2 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        tools.unavailable(f"mounting a tmpfs ({mounted.stderr.strip()})")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(path: Path, left: int) -> None:
    """Write until only `left` bytes are free."""
    state = os.statvfs(path.parent)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - left)


class Producer:
    """One value after the other, each sent once; remembers what was acknowledged."""

    def __init__(self, connection: Wire) -> None:
        self.sends: list[Send] = []
        self._connection = connection

    def produce(self, size: int) -> int:
        """The error code."""
        value = (b"%d " % len(self.sends)).ljust(size, b".")
        answer = self._connection.call(produce_request(TOPIC, 0, [value]), ProduceResponse, 9)
        part = answer.responses[0].partition_responses[0]
        offset = part.base_offset if part.error_code == 0 else None
        self.sends.append(Send("p", 0, value, offset, False))
        return part.error_code


def test_a_full_disk_refuses_and_recovers_without_a_restart(small_disk: Path, tmp_path: Path, result: Result) -> None:
    broker = MoldauBroker(tmp_path / "broker")
    broker.data_dir = small_disk / "data"
    with broker, Wire(broker.host, broker.port) as connection:
        make_topic(broker.bootstrap, TOPIC)
        producer = Producer(connection)
        assert [producer.produce(100) for _ in range(50)] == [0] * 50
        ballast = small_disk / "ballast"
        fill(ballast, LEFT_BYTES)
        codes = [producer.produce(100_000) for _ in range(60)]
        assert set(codes) == {ErrorCode.NONE, ErrorCode.KAFKA_STORAGE_ERROR}
        assert codes[-1] == ErrorCode.KAFKA_STORAGE_ERROR
        # Full, and still serving.
        assert problems(producer.sends, read_all(broker.bootstrap, TOPIC, 1)) == []
        ballast.unlink()
        freed = time.monotonic()
        while producer.produce(100) != 0:
            assert time.monotonic() - freed < 10, "space is back, producing is not"
            time.sleep(0.05)
        resumed_s = time.monotonic() - freed
        assert [producer.produce(10_000) for _ in range(50)] == [0] * 50
        before = read_all(broker.bootstrap, TOPIC, 1)
        assert problems(producer.sends, before) == []
        broker.kill()
        broker.start()
        assert read_all(broker.bootstrap, TOPIC, 1) == before
        result(refused=codes.count(ErrorCode.KAFKA_STORAGE_ERROR), resumed_after_s=round(resumed_s, 2))
