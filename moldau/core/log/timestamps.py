"""Rules for the timestamps of a batch that a client appends.

Lives here: what is refused, and how a batch gets the broker's time. Only the header is looked at: the
records of a batch whose header lies about them are not (a stated deviation).
"""

from __future__ import annotations

import struct

import google_crc32c

from moldau.core.base.clock import Clock
from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.files import Buffer
from moldau.core.log.config import LogConfig
from moldau.core.protocol.batch import APPEND_TIME, CRC_FROM, NO_TIMESTAMP

_ATTRIBUTES = struct.Struct(">h")
_MAX_TIMESTAMP = struct.Struct(">q")
_MAX_TIMESTAMP_AT = 35 - CRC_FROM

_REJECTED = Refusal(ErrorCode.INVALID_TIMESTAMP, "One or more records have been rejected due to invalid timestamp")
_WRONG_TYPE = Refusal(
    ErrorCode.INVALID_TIMESTAMP, "The topic takes the broker's time; the producer does not set its type"
)


def problem(config: LogConfig, clock: Clock, attributes: int, base: int, newest: int) -> Refusal | None:
    """Why a batch with these header fields is not taken, or None."""
    if config.log_append_time:
        return _WRONG_TYPE if attributes & APPEND_TIME else None
    if newest == NO_TIMESTAMP:
        return _REJECTED if attributes & APPEND_TIME else None
    now = clock.wall_ms()
    if newest - now > config.message_timestamp_after_max_ms:
        return _REJECTED
    if base != NO_TIMESTAMP and now - base > config.message_timestamp_before_max_ms:
        return _REJECTED
    return None


def renew(tail: Buffer, attributes: int, newest: int) -> tuple[int, Buffer]:
    """The CRC and the bytes of a batch from its attributes on, under other attributes and another max timestamp."""
    changed = bytearray(tail)
    _ATTRIBUTES.pack_into(changed, 0, attributes)
    _MAX_TIMESTAMP.pack_into(changed, _MAX_TIMESTAMP_AT, newest)
    renewed = bytes(changed)
    return google_crc32c.value(renewed), renewed
