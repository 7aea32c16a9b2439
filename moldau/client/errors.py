"""What can go wrong on the client's side of the wire, beside confluent-kafka's own KafkaException."""

from __future__ import annotations

from moldau.core.base.errors import MoldauError


class Unreachable(MoldauError):
    """No broker answers at any of the addresses."""


class NotFound(MoldauError):
    """The topic, partition or group is not there."""
