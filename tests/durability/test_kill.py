"""kill -9 under load, again and again: what was acknowledged stays, once and in order; the group goes on."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.conftest import Result
from tests.support.admin import make_topic
from tests.support.brokers import chosen
from tests.support.history import group_problems, problems
from tests.support.load import (
    CommittingConsumer,
    IdempotentProducer,
    RawProducer,
    Worker,
    commits_of,
    committed_offsets,
    read_all,
)
from tests.support.scale import amount

pytestmark = pytest.mark.slow

TOPIC, GROUP, PARTITIONS = "orders", "readers", 4


@pytest.mark.timeout(3600)
def test_nothing_acknowledged_is_lost_reordered_or_doubled_by_kill_9(tmp_path: Path, result: Result) -> None:
    rounds = amount("kills", test=5, prove=100)
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    with chosen(tmp_path, {"offsets.topic.num.partitions": "4"}) as broker:
        make_topic(broker.bootstrap, TOPIC, PARTITIONS)
        idempotent = [IdempotentProducer(broker, TOPIC, PARTITIONS, f"idempotent-{n}") for n in range(2)]
        raw = [RawProducer(broker, TOPIC, n, f"raw-{n}") for n in range(PARTITIONS)]
        members = [CommittingConsumer(broker, TOPIC, GROUP, f"member-{n}") for n in range(2)]
        workers: list[Worker] = [*idempotent, *raw, *members]
        for worker in workers:
            worker.start()
        slowest = 0.0
        for _ in range(rounds):
            time.sleep(moments.uniform(0.3, 2.0))
            broker.kill()
            begun = time.monotonic()
            broker.start()
            slowest = max(slowest, time.monotonic() - begun)
        time.sleep(1.0)
        # The producers first: what they still hold must go through.
        for worker in (*idempotent, *raw):
            worker.stop()
        log = read_all(broker.bootstrap, TOPIC, PARTITIONS)
        for member in members:
            member.stop()
        broker.kill()
        broker.start()
        sends = [send for producer in (*idempotent, *raw) for send in producer.sends()]
        reads = [read for member in members for read in member.reads]
        acknowledged = sum(send.offset is not None for send in sends)
        after = read_all(broker.bootstrap, TOPIC, PARTITIONS)
        broken = problems(sends, log, reads)
        broken += [] if after == log else ["the log changed with the last kill"]
        resumed = committed_offsets(broker.bootstrap, TOPIC, GROUP, PARTITIONS)
        broken += group_problems(commits_of(members), resumed, log, reads)
        result(kills=rounds + 1, acknowledged=acknowledged, read=len(reads), slowest_start_s=round(slowest, 2))
        assert broken[:20] == [], f"{len(broken)} problems, moments from seed {seed}"
        assert [producer.refused for producer in idempotent] == [[], []]
        assert [member.rewinds for member in members] == [[], []]
        assert acknowledged > rounds * 20
        assert min(resumed.values()) > 0
