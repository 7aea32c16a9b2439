"""Apache Kafka's own DumpLogSegments reads what we wrote: segments, indexes, cluster metadata, committed offsets."""

from __future__ import annotations

import re
from pathlib import Path

import confluent_kafka
import pytest

from tests.support import peer, tools
from tests.support.admin import make_topic
from tests.support.brokers import chosen
from tests.support.clients import CODECS
from tests.support.members import AiokafkaMember, wait_until

DUMP = "org.apache.kafka.tools.DumpLogSegments"
# What the tool says when something is wrong, rather than ending with an error.
COMPLAINTS = re.compile(r"Found \d|Mismatch|Non-consecutive|Exception|isvalid: false|corrupt")

# What goes to partition 0, once per codec.
VALUES = [b"record %d " % number + b"abcdefgh" * 60 for number in range(3_000)]
# So often that the test sees some.
SNAPSHOTS = {"metadata.log.max.record.bytes.between.snapshots": "1000"}

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by a broker that was used and then stopped: five codecs, several segments, a group with offsets."""
    tools.need_peer()
    with chosen(tmp_path_factory.mktemp("dumped"), SNAPSHOTS) as broker:
        make_topic(broker.bootstrap, "dumped", 2, {"segment.bytes": "1048576", "index.interval.bytes": "4096"})
        for codec in CODECS:
            produce(broker.bootstrap, {"compression.type": codec, "batch.num.messages": 60}, VALUES, 0)
        produce(broker.bootstrap, {"enable.idempotence": True}, [b"%d" % number for number in range(2_000)], 1)
        member = AiokafkaMember(broker.bootstrap, "dumpers", "dumped").start()
        wait_until("the group has read all", lambda: len(member.seen) == len(CODECS) * len(VALUES) + 2_000, 60)
        member.stop()
        broker.stop()
        return broker.data_dir


def produce(bootstrap: str, settings: dict[str, object], values: list[bytes], partition: int) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, **settings})
    for number, value in enumerate(values):
        producer.produce("dumped", value, key=b"k%d" % (number % 7), partition=partition, headers=[("h", b"1")])
        producer.poll(0)
    assert producer.flush(30) == 0


def dump(*arguments: str) -> str:
    out = peer.run_tool(DUMP, *arguments)
    assert [line for line in out.splitlines() if COMPLAINTS.search(line)] == []
    return out


def files(data_dir: Path, folder: str, suffix: str) -> list[Path]:
    return sorted((data_dir / folder).glob(f"*{suffix}"))


@pytest.mark.parametrize("partition", [0, 1])
def test_segments_are_read_to_the_last_record(data_dir: Path, partition: int) -> None:
    segments = files(data_dir, f"dumped-{partition}", ".log")
    out = dump("--deep-iteration", "--print-data-log", "--files", ",".join(map(str, segments)))
    offsets = [int(offset) for offset in re.findall(r"^\| offset: (\d+)", out, re.MULTILINE)]
    assert offsets == list(range(len(VALUES) * len(CODECS) if partition == 0 else 2_000))
    if partition == 0:
        assert len(segments) > 1
        assert set(re.findall(r"compresscodec: (\w+)", out)) == set(CODECS)


@pytest.mark.parametrize("suffix", [".index", ".timeindex", ".snapshot"])
def test_indexes_and_producer_snapshots_agree_with_the_segments(data_dir: Path, suffix: str) -> None:
    found = [path for partition in (0, 1) for path in files(data_dir, f"dumped-{partition}", suffix)]
    assert found
    checks = [] if suffix == ".snapshot" else ["--verify-index-only"]
    dump(*checks, "--files", ",".join(map(str, found)))
    out = dump("--files", ",".join(map(str, found)))
    if suffix == ".index":
        assert len(re.findall(r"^offset: \d+ position: \d+", out, re.MULTILINE)) > 10


def test_cluster_metadata_is_read(data_dir: Path) -> None:
    segments = files(data_dir, "__cluster_metadata-0", ".log")
    out = dump("--cluster-metadata-decoder", "--deep-iteration", "--files", ",".join(map(str, segments)))
    kinds = set(re.findall(r'"type":"(\w+)"', out))
    assert {"TOPIC_RECORD", "PARTITION_RECORD", "REGISTER_BROKER_RECORD", "FEATURE_LEVEL_RECORD"} <= kinds
    assert '"name":"dumped"' in out
    assert '"name":"segment.bytes","value":"1048576"' in out


def test_metadata_snapshots_are_read(data_dir: Path) -> None:
    snapshots = files(data_dir, "__cluster_metadata-0", ".checkpoint")
    assert snapshots
    out = dump("--cluster-metadata-decoder", "--files", ",".join(map(str, snapshots)))
    assert "SnapshotHeader" in out
    assert "SnapshotFooter" in out


def test_committed_offsets_are_read(data_dir: Path) -> None:
    folders = sorted(path for path in data_dir.glob("__consumer_offsets-*") if list(path.glob("*.log")))
    segments = [segment for folder in folders for segment in files(folder.parent, folder.name, ".log")]
    assert segments
    out = dump("--offsets-decoder", "--deep-iteration", "--files", ",".join(map(str, segments)))
    committed = {
        (int(partition), int(offset))
        for partition, offset in re.findall(
            r'"group":"dumpers","topic":"dumped","partition":(\d+)\}.*?"offset":(\d+)', out
        )
    }
    assert {(0, len(VALUES) * len(CODECS)), (1, 2_000)} <= committed
    assert '"protocolType":"consumer"' in out
