"""Times and severities of lines as the common programs write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moldau.cli import severity
from moldau.cli.severity import (
    CRITICAL,
    DEBUG,
    ERROR,
    INFO,
    MINUTE_MS,
    PLAIN,
    SEVERITIES,
    WARNING,
    minute_of,
    severity_of,
)


def _minute(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 60


ARRIVAL = _minute("2026-11-24T15:00") * MINUTE_MS + 1234


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lines without a zone are local time: here Greenwich's."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    severity._iso_minute.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    severity._iso_minute.cache_clear()


@pytest.mark.parametrize(
    ("line", "minute"),
    [
        (b"2026-11-24 14:49:08 status installed libc-bin:amd64", "2026-11-24T14:49"),  # dpkg
        (b"update-alternatives 2025-06-24 14:36:53: run with --quiet", "2025-06-24T14:36"),
        (b"Start-Date: 2025-06-24  14:36:25", "2025-06-24T14:36"),  # apt history
        (b"Log started: 2025-06-24  14:36:25", "2025-06-24T14:36"),  # apt terminal
        (b"2026-11-24T14:49:01.123456+02:00 host app[1]: hello", "2026-11-24T12:49"),  # journald, rsyslog
        (b"2026-11-24T14:49:01+0200 host app[1]: hello", "2026-11-24T12:49"),
        (b"2026-11-24T14:49:01Z x", "2026-11-24T14:49"),
        (b"2026-11-24 14:49:01,123 INFO moldau.server: ready", "2026-11-24T14:49"),  # Python
        (b"[2026-11-24 14:49:01,123] INFO [KafkaServer id=0] started", "2026-11-24T14:49"),
        (b"2026-11-24 14:49:01.123 UTC [4711] LOG:  checkpoint", "2026-11-24T14:49"),  # PostgreSQL
        (b"2026/11/24 14:49:01 [error] 7#7: *1 open() failed", "2026-11-24T14:49"),  # nginx
        (b'{"time":"2026-11-24T14:49:01-01:30","level":"warn"}', "2026-11-24T16:19"),
        (b"<34>1 2026-11-24T14:49:01.003Z host su - ID47 - failed", "2026-11-24T14:49"),  # RFC 5424
        (b"Nov 24 14:49:01 host sshd[1]: Accepted", "2026-11-24T14:49"),  # RFC 3164
        (b"<13>Nov  4 04:49:01 host x", "2026-11-04T04:49"),
        (b"Nov 25 14:59:59 host x", "2026-11-25T14:59"),  # a clock that runs ahead
        (b"Dec 31 23:59:59 host x", "2025-12-31T23:59"),  # last year's
        (b'1.2.3.4 - - [24/Nov/2026:14:49:01 +0100] "GET /2020-01-01T10:10 HTTP/1.1" 200 5', "2026-11-24T13:49"),
        (b"[Tue Nov 24 14:49:01.123456 2026] [core:error] [pid 1] x", "2026-11-24T14:49"),  # Apache
        (b"type=USER_LOGIN msg=audit(1795532941.243:24287): pid=1", "2026-11-24T15:09"),
        (b"1795532941.243    184 10.0.0.1 TCP_MISS/200 1 GET http://x", "2026-11-24T15:09"),  # squid
    ],
)
def test_a_line_that_names_its_time(line: bytes, minute: str) -> None:
    assert datetime.fromtimestamp(minute_of(line, ARRIVAL) * 60, UTC).strftime("%Y-%m-%dT%H:%M") == minute


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no time here",
        b"\tat org.example.Main(Main.java:42)",
        b"2026-13-45 99:99:99 not a time",
        b"Foo 24 14:49:01 no month",
        b"[24/Foo/2026:14:49:01 +0000]",
        b"Feb 30 10:00:00 no such day",
    ],
)
def test_a_line_without_a_time_counts_when_it_arrived(line: bytes) -> None:
    assert minute_of(line, ARRIVAL) == ARRIVAL // MINUTE_MS


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"<11>Nov 24 14:49:01 host app: fine", ERROR),
        (b"<0>panic now", CRITICAL),
        (b"<191>chatter", DEBUG),
        (b'1.2.3.4 - - [24/Nov/2026:14:49:01 +0000] "GET / HTTP/1.1" 200 12', INFO),
        (b'1.2.3.4 - - [24/Nov/2026:14:49:01 +0000] "GET /error HTTP/1.1" 404 12 "-" "x"', WARNING),
        (b'1.2.3.4 - - [24/Nov/2026:14:49:01 +0000] "POST / HTTP/1.1" 503 -', ERROR),
        (b"2026-11-24 14:49:01,123 ERROR app: boom", ERROR),
        (b"2026-11-24 14:49:01,123 INFO app: 3 requests failed", INFO),
        (b"WARNING:root:careful", WARNING),
        (b"[Tue Nov 24 14:49:01 2026] [core:error] [pid 1] x", ERROR),
        (b"2026/11/24 14:49:01 [crit] 7#7: x", CRITICAL),
        (b'{"time":"2026-11-24T14:49:01Z","level":"warn","msg":"x"}', WARNING),
        (b'ts=1 level=debug msg="x error y"', DEBUG),
        (b'{"Level": "Error"}', ERROR),
        (b"E1124 14:49:01.000000 1 main.go:1] x", ERROR),
        (b"E: Unable to locate package", PLAIN),
        (b"W1124 14:49:01.000000 1 main.go:1] x", WARNING),
        (b"2026-11-24 14:49:01 UTC [4711] FATAL:  the database system is starting up", CRITICAL),
        (b"2026-11-24 14:49:01 UTC [4711] LOG:  checkpoint complete", INFO),
        (b"Nov 24 14:49:01 host kernel: error: disk", ERROR),
        (b"Nov 24 14:49:01 host systemd[1]: Failed to start x", ERROR),
        (b"Nov 24 14:49:01 host sshd[1]: permission denied", WARNING),
        (b"(process) deprecated option", WARNING),
        (b"2026-11-24 14:49:08 status installed libgpg-error0:amd64", PLAIN),
        (b"2026-11-24 14:49:08 status installed install-info:amd64", PLAIN),
        (b"", PLAIN),
        (b"\xff\xfe bytes", PLAIN),
    ],
)
def test_severities(line: bytes, expected: str) -> None:
    assert severity_of(line) == expected


@given(st.binary(max_size=300), st.integers(0, 4_000_000_000_000))
def test_any_bytes_have_a_minute_and_a_severity(line: bytes, arrival_ms: int) -> None:
    assert severity_of(line) in SEVERITIES
    assert isinstance(minute_of(line, arrival_ms), int)


@given(
    st.sampled_from([b"2026-%s-%s %s:%s:00", b"[%s/Nov/20%s:%s:%s:00 +0000]", b"Nov %s %s:%s:00%s", b"19%s.%s%s%s"]),
    st.lists(st.integers(0, 99).map(lambda n: b"%02d" % n), min_size=4, max_size=4),
)
def test_times_that_cannot_be_fall_back_to_the_arrival(shape: bytes, numbers: list[bytes]) -> None:
    assert isinstance(minute_of(shape % tuple(numbers), ARRIVAL), int)
