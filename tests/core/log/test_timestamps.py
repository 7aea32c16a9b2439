"""Which timestamps are taken, and the broker's time in their place."""

from __future__ import annotations

import pytest

from moldau.core.base.clock import ManualClock
from moldau.core.base.errors import ErrorCode
from moldau.core.log import timestamps
from moldau.core.log.config import LogConfig
from moldau.core.protocol.batch import APPEND_TIME, RecordBatch
from tests.support.log_batches import TIMESTAMP, make_batch

HOUR = 3_600_000
APPENDED = LogConfig(message_timestamp_type="LogAppendTime")
BOUNDED = LogConfig(message_timestamp_before_max_ms=HOUR, message_timestamp_after_max_ms=1000)


@pytest.mark.parametrize(
    ("config", "attributes", "base", "newest", "taken"),
    [
        (LogConfig(), 0, 0, TIMESTAMP + HOUR, True),
        (LogConfig(), 0, 0, TIMESTAMP + HOUR + 1, False),
        (LogConfig(), 0, -1, -1, True),
        (LogConfig(), APPEND_TIME, 0, TIMESTAMP, True),
        (LogConfig(), APPEND_TIME, -1, -1, False),
        (BOUNDED, 0, TIMESTAMP - HOUR, TIMESTAMP, True),
        (BOUNDED, 0, TIMESTAMP - HOUR - 1, TIMESTAMP, False),
        (BOUNDED, 0, TIMESTAMP, TIMESTAMP + 1001, False),
        (APPENDED, 0, TIMESTAMP, TIMESTAMP + 10 * HOUR, True),
        (APPENDED, APPEND_TIME, TIMESTAMP, TIMESTAMP, False),
    ],
)
def test_what_is_taken(config: LogConfig, attributes: int, base: int, newest: int, taken: bool) -> None:
    found = timestamps.problem(config, ManualClock(TIMESTAMP), attributes, base, newest)
    if taken:
        assert found is None
    else:
        assert found is not None
        assert found.code == ErrorCode.INVALID_TIMESTAMP


def test_a_batch_gets_another_time() -> None:
    batch = make_batch([b"a", b"b"])
    crc, tail = timestamps.renew(batch[21:], APPEND_TIME, 123)
    renewed = RecordBatch(batch[:17] + crc.to_bytes(4, "big") + bytes(tail))
    assert renewed.is_intact()
    assert renewed.is_append_time
    assert [record.timestamp for record in renewed.records()] == [123, 123]
