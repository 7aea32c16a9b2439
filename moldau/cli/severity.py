"""What a line of a log says about itself: when it was written, and how bad it is. Pure, for any common format.

Times are looked for where formats put them: ISO-8601 and its relatives (Python, dpkg, apt, PostgreSQL,
journald's short-iso, JSON lines; nginx and Go with slashes), syslog ("Nov 24 14:49:01", no year), access logs
("[24/Nov/2026:14:49:01 +0000]"), Apache's error log ("[Tue Nov 24 14:49:01.123456 2026]"), audit and squid
(seconds since 1970). A time without a zone is this machine's. Only the minute is kept.

A severity comes from, in this order: a syslog priority (<11>), the status of an access log, a field named
level, a level word ("ERROR", "[error]", "error:"), prose ("failed"). A few microseconds a line, so: literal
prefixes, anchors and dictionaries, no search with alternatives.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

CRITICAL, ERROR, WARNING, INFO, DEBUG, PLAIN = "critical", "error", "warning", "info", "debug", "plain"
SEVERITIES = (CRITICAL, ERROR, WARNING, INFO, DEBUG, PLAIN)

MINUTE_MS = 60_000

# How far into a line a time, and a level, may be.
_TIME_WITHIN = 160
_LEVEL_WITHIN = 160

_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}

_ISO = re.compile(rb"20\d\d([-/])\d\d\1\d\d[T _]{1,2}\d\d:\d\d")
_ISO_ZONE = re.compile(rb"(?::\d\d(?:[.,]\d+)?)?\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)")
_SYSLOG = re.compile(rb"(?:<\d{1,3}>)?(\w{3}) ([ 0-3]?\d) (\d\d):(\d\d):\d\d")
_ACCESS = re.compile(rb"\[(\d\d/\w{3}/20\d\d:\d\d:\d\d):\d\d ([+-]\d{4})\]")
_APACHE = re.compile(rb"\[\w{3} (\w{3}) (\d\d) (\d\d):(\d\d):\d\d(?:\.\d+)? (20\d\d)\]")
_EPOCH = re.compile(rb"(?:type=\w+ msg=audit\()?(1\d{9})[.:]\d{3}")

_PRIORITY = re.compile(rb"<(\d{1,3})>")
_BY_PRIORITY = (CRITICAL, CRITICAL, CRITICAL, ERROR, WARNING, INFO, INFO, DEBUG)
_STATUS = re.compile(rb'" ([1-5])\d\d (?:\d+|-)')
_BY_STATUS = {b"5": ERROR, b"4": WARNING}
_FIELD = re.compile(rb"level\"?\s?[=:]\s?\"?(\w+)", re.IGNORECASE)
_GLOG = {b"I": INFO, b"W": WARNING, b"E": ERROR, b"F": CRITICAL}

_LEVELS = {
    word: severity
    for severity, words in {
        CRITICAL: b"emerg emergency alert crit critical fatal panic",
        ERROR: b"err error severe",
        WARNING: b"warn warning",
        INFO: b"info notice log statement",
        DEBUG: b"debug trace verbose fine finer finest",
    }.items()
    for word in words.split()
}
# Words that say it without being a level.
_PROSE = {
    b"error": ERROR,
    b"errors": ERROR,
    b"failed": ERROR,
    b"failure": ERROR,
    b"exception": ERROR,
    b"segfault": ERROR,
    b"fatal": CRITICAL,
    b"warning": WARNING,
    b"warnings": WARNING,
    b"deprecated": WARNING,
    b"denied": WARNING,
}
_AROUND = b"[](){}<>|:,;.\"'=*"
_ANY = frozenset(spelled for word in (*_LEVELS, *_PROSE) for spelled in (word, word.capitalize(), word.upper()))
_SEPARATED = bytes.maketrans(_AROUND, b" " * len(_AROUND))


def minute_of(line: bytes, arrival_ms: int) -> int:
    """The minute the line names, else that of its arrival; minutes since 1970."""
    head = line[:_TIME_WITHIN]
    for read in _readers(head):
        try:
            own = read(head, arrival_ms)
        except (ValueError, OverflowError, KeyError):
            continue  # the right shape, but no time: 2026-13-45
        if own is not None:
            return own
    return arrival_ms // MINUTE_MS


def severity_of(line: bytes) -> str:
    """One of SEVERITIES; `plain` when the line does not say."""
    if line[:1] == b"<" and (priority := _PRIORITY.match(line)) is not None:
        return _BY_PRIORITY[int(priority[1]) & 7]
    if (status := _STATUS.search(line)) is not None:
        return _BY_STATUS.get(status[1], INFO)
    head = line[:_LEVEL_WITHIN]
    if head[:1] in _GLOG and head[1:5].isdigit():
        return _GLOG[head[:1]]
    if b"evel" in head or b"EVEL" in head:
        field = _FIELD.search(head)
        if field is not None and (level := _LEVELS.get(field[1].lower())) is not None:
            return level
    # Most lines hold none of the words, and this finds out at a fifth of the cost.
    return PLAIN if _ANY.isdisjoint(head.translate(_SEPARATED).split()) else _by_words(head)


def _by_words(head: bytes) -> str:
    prose = PLAIN
    for token in head.split():
        word = token.strip(_AROUND)
        if b":" in word:
            # WARNING:root:text, [core:error]
            first, _, last = word.partition(b":")
            word = first if first.lower() in _LEVELS else last
        lowered = word.lower()
        if lowered in _LEVELS and (word.isupper() or word != token):
            return _LEVELS[lowered]
        if prose is PLAIN and lowered in _PROSE:
            prose = _PROSE[lowered]
    return prose


def _iso(head: bytes, _arrival_ms: int) -> int | None:
    found = _ISO.search(head)
    if found is None:
        return None
    zone = _ISO_ZONE.match(head, found.end())
    return _iso_minute(found[0], zone[1] if zone is not None else None)


@lru_cache(4096)
def _iso_minute(text: bytes, zone: bytes | None) -> int:
    """20YY-MM-DD, one or two separators, HH:MM."""
    day = (int(text[:4]), int(text[5:7]), int(text[8:10]))
    return _minute(datetime(*day, int(text[-5:-3]), int(text[-2:])), zone)


def _syslog(head: bytes, arrival_ms: int) -> int | None:
    """The year is the one that puts the time nearest before the arrival, with a day of grace for clocks that differ."""
    found = _SYSLOG.match(head)
    if found is None:
        return None
    latest = datetime.fromtimestamp(arrival_ms / 1000) + timedelta(days=1)
    month, day, hour, minute = _MONTHS[found[1]], int(found[2]), int(found[3]), int(found[4])
    this_year = (month, day, hour, minute) <= (latest.month, latest.day, latest.hour, latest.minute)
    return _minute(datetime(latest.year if this_year else latest.year - 1, month, day, hour, minute), None)


def _access(head: bytes, _arrival_ms: int) -> int | None:
    found = _ACCESS.search(head)
    return None if found is None else _access_minute(found[1], found[2])


@lru_cache(4096)
def _access_minute(text: bytes, zone: bytes) -> int:
    """DD/Mon/20YY:HH:MM"""
    month = _MONTHS[text[3:6]]
    return _minute(datetime(int(text[7:11]), month, int(text[:2]), int(text[12:14]), int(text[15:17])), zone)


def _apache(head: bytes, _arrival_ms: int) -> int | None:
    found = _APACHE.match(head)
    if found is None:
        return None
    return _minute(datetime(int(found[5]), _MONTHS[found[1]], int(found[2]), int(found[3]), int(found[4])), None)


def _epoch(head: bytes, _arrival_ms: int) -> int | None:
    found = _EPOCH.match(head)
    return None if found is None else int(found[1]) // 60


def _minute(moment: datetime, zone: bytes | None) -> int:
    if zone is None:
        return int(time.mktime(moment.timetuple())) // 60
    return int(moment.replace(tzinfo=_zone(zone)).timestamp()) // 60


def _zone(text: bytes) -> timezone:
    if text in (b"Z", b"UTC", b"GMT"):
        return UTC
    digits = text.replace(b":", b"")
    offset = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
    return timezone(-offset if digits[:1] == b"-" else offset)


def _readers(head: bytes) -> tuple[Callable[[bytes, int], int | None], ...]:
    """Those that may find something, by what is cheap to see. An access log's own time goes before its address."""
    if b":" not in head:
        return ()
    if b"[" in head:
        return _READERS if _ISO.match(head) is None else (_iso,)
    return _WITHOUT_BRACKET if head[:2] != b"20" else (_iso,)


_WITHOUT_BRACKET = (_syslog, _epoch, _iso)
_READERS = (_access, _apache, *_WITHOUT_BRACKET)
