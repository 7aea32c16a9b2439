"""The status line: when it comes and what it counts."""

from __future__ import annotations

import logging

import pytest

from moldau.core.server.status_log import Status, StatusLog


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_one_line_an_interval_with_what_is_new(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "moldau.server")
    status = Status(2, 5, 100)
    log = StatusLog(10_000, lambda: status)
    log.tick(1_000)
    log.tick(10_999)
    assert lines(caplog) == []
    status = Status(3, 5, 142)
    log.tick(11_000)
    assert lines(caplog) == ["3 connections, 5 partitions, 42 records in the last 10 s"]
    log.tick(20_999)
    assert lines(caplog) == []
    status = Status(3, 4, 12)  # a topic was deleted
    log.tick(21_500)
    assert lines(caplog) == ["3 connections, 4 partitions, 0 records in the last 10 s"]


def test_an_interval_of_zero_is_silence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "moldau.server")
    log = StatusLog(0, lambda: Status(0, 0, 0))
    log.tick(0)
    log.tick(10**9)
    assert lines(caplog) == []
