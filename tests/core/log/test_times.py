"""Finding records by timestamp."""

from __future__ import annotations

import pytest

from moldau.core.log.config import LogConfig
from moldau.core.log.partition_log import PartitionLog
from moldau.core.log.times import Found
from moldau.core.protocol.batch import Record, build_batch
from tests.support.log_batches import TIMESTAMP
from tests.support.log_rig import Rig, append


def filled(rig: Rig, timestamps: list[list[int]], config: LogConfig | None = None) -> PartitionLog:
    """A batch for each list, a record for each timestamp in it."""
    log = rig.log(config=config)
    for batch in timestamps:
        records = [Record(n, TIMESTAMP + at, None, b"x" * 30) for n, at in enumerate(batch)]
        assert isinstance(log.append(build_batch(records, compression="zstd"), 4), int)
        rig.turn()
    rig.settle()
    return log


def found(log: PartitionLog, at: int, upto: int | None = None) -> tuple[int, int] | None:
    result = log.offset_for_timestamp(TIMESTAMP + at, log.synced_offset if upto is None else upto)
    return None if result is None else (result.offset, result.timestamp - TIMESTAMP)


@pytest.mark.parametrize("segment_bytes", [1 << 20, 300])
def test_the_first_record_that_is_not_older(segment_bytes: int) -> None:
    config = LogConfig(segment_bytes=segment_bytes, index_interval_bytes=150)
    log = filled(Rig(), [[0, 10], [20], [15, 40, 30], [50], [50], [45], [70]], config)
    assert found(log, -5) == (0, 0)
    assert found(log, 1) == (1, 10)
    assert found(log, 20) == (2, 20)
    assert found(log, 21) == (4, 40)
    assert found(log, 41) == (6, 50)
    assert found(log, 51) == (9, 70)
    assert found(log, 71) is None
    assert found(log, 51, upto=9) is None
    assert found(log, 50, upto=6) is None


def test_answers_carry_the_epoch() -> None:
    log = filled(Rig(), [[0], [1]])
    assert log.offset_for_timestamp(TIMESTAMP, 2) == Found(0, TIMESTAMP, 4)


@pytest.mark.parametrize("segment_bytes", [1 << 20, 300])
def test_the_largest_timestamp(segment_bytes: int) -> None:
    log = filled(Rig(), [[0, 10], [90, 80, 95], [20], [95], [30], [96]], LogConfig(segment_bytes=segment_bytes))
    assert log.max_timestamp(9) == Found(8, TIMESTAMP + 96, 4)
    assert log.max_timestamp(8) == Found(4, TIMESTAMP + 95, 4)
    assert log.max_timestamp(2) == Found(1, TIMESTAMP + 10, 4)
    assert log.max_timestamp(0) is None


def test_nothing_below_the_start_is_found() -> None:
    log = filled(Rig(), [[0, 10, 20], [30]])
    log.advance_start_offset(2)
    assert found(log, 0) == (2, 20)
    assert log.max_timestamp(4) == Found(3, TIMESTAMP + 30, 4)


def test_the_brokers_time_counts_for_the_whole_batch() -> None:
    rig = Rig()
    log = rig.log(config=LogConfig(message_timestamp_type="LogAppendTime"))
    append(log, [b"a", b"b"], timestamp=5)
    rig.settle()
    assert found(log, 0) == (0, 0)


def test_records_without_a_timestamp() -> None:
    rig = Rig()
    log = rig.log()
    append(log, [b"a"], timestamp=-1)
    rig.settle()
    assert log.max_timestamp(1) is None
    assert found(log, 0) is None


def test_a_time_index_entry_that_does_not_fit_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    log = filled(Rig(), [[n] for n in range(20)])
    log.segments[0].times.append(TIMESTAMP + 5, 12)
    assert found(log, 7) == (7, 7)
    assert "does not fit" in caplog.text


def test_searching_after_a_restart() -> None:
    rig = Rig()
    filled(rig, [[n] for n in range(40)], LogConfig(segment_bytes=900, index_interval_bytes=200))
    rig.kill()
    log = rig.log()
    assert [found(log, n) for n in range(40)] == [(n, n) for n in range(40)]
    rig.shut_down()
    rig.open()
    log = rig.log()
    assert [found(log, n) for n in range(40)] == [(n, n) for n in range(40)]
    assert log.max_timestamp(40) == Found(39, TIMESTAMP + 39, 4)
