"""Identifiers that travel through every layer.

Uuids are 16 raw bytes everywhere inside (a dictionary key costs least that way) and Kafka's
22-character base64 text at the edges (files, logs, CLI).
"""

from __future__ import annotations

import base64
from typing import NamedTuple

ZERO_UUID = bytes(16)
UUID_SIZE = 16


class TopicPartition(NamedTuple):
    """A topic's name and a partition index."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


def uuid_text(uuid: bytes) -> str:
    """Kafka's text form of a 16-byte uuid: url-safe base64 without padding (22 characters)."""
    return base64.urlsafe_b64encode(uuid).rstrip(b"=").decode()


def uuid_from_text(text: str) -> bytes:
    """The 16 bytes behind Kafka's text form. Raises ValueError for anything else."""
    try:
        uuid = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise ValueError(f"not a uuid in Kafka's text form: {text!r}") from error
    if len(uuid) != UUID_SIZE:
        raise ValueError(f"not a uuid in Kafka's text form: {text!r}")
    return uuid


def random_uuid(random_bytes: bytes) -> bytes:
    """A version 4 uuid (RFC 4122) out of 16 random bytes, whose text never starts with '-' in Kafka's tools."""
    if len(random_bytes) != UUID_SIZE:
        raise ValueError("a uuid takes 16 random bytes")
    value = bytearray(random_bytes)
    value[0] &= 0x7F  # '-' leads the base64 text only when the first six bits are 62: tools would read it as a flag
    value[6] = (value[6] & 0x0F) | 0x40
    value[8] = (value[8] & 0x3F) | 0x80
    return bytes(value)
