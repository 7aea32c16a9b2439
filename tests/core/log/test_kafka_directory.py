"""A log directory goes back and forth between Apache Kafka and us, with a kill on its way."""

from __future__ import annotations

from pathlib import Path

import confluent_kafka
import pytest

from moldau.core.base.clock import SystemClock
from moldau.core.base.files import OsFiles
from moldau.core.base.workers import InlineWorker
from moldau.core.log.config import DirectoryConfig
from moldau.core.log.directory import LogDirectory, Workers
from tests.support import tools
from tests.support.admin import make_topic
from tests.support.peer import ApacheKafka

pytestmark = pytest.mark.peer


def produce(bootstrap: str, count: int) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "batch.num.messages": 50}
    )
    for n in range(count):
        producer.produce("shared", b"%d " % n + b"x" * 200, partition=n % 2)
        producer.poll(0)
    assert producer.flush(30) == 0


def opened(path: Path) -> LogDirectory:
    worker = InlineWorker()
    workers = Workers(worker, worker, worker, worker)
    directory = LogDirectory(
        str(path), OsFiles(), SystemClock(), DirectoryConfig(), workers=workers, call_soon=lambda call: call()
    )
    directory.open()
    return directory


def test_a_directory_of_kafkas_is_recovered_and_given_back(tmp_path: Path) -> None:
    tools.need_peer()
    kafka = ApacheKafka(tmp_path)
    try:
        kafka.start()
        make_topic(kafka.bootstrap, "shared", 2, {"segment.bytes": "1048576"})
        produce(kafka.bootstrap, 15_000)
        kafka.kill()
        directory = opened(kafka.data_dir)
        assert not directory.clean
        assert directory.recovered.cut == 0
        for partition in (0, 1):
            log = directory.logs["shared", partition]
            assert (log.start_offset, log.end_offset, len(log.segments)) == (0, 7_500, 2)
            assert log.leader_epochs.entries == [(0, 0)]
            assert len(log.producers) == 1
        assert directory.shut_down().value is True
        directory.close()

        kafka.start()
        produce(kafka.bootstrap, 1_000)
        kafka.stop()
        directory = opened(kafka.data_dir)
        assert directory.clean
        log = directory.logs["shared", 0]
        assert sum(1 for _ in log.batches(0, log.end_offset)) >= 160
        assert log.end_offset == 8_000
        assert len(log.producers) == 2
        directory.close()
    finally:
        kafka.stop()
