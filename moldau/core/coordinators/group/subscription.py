"""Which topics a stable consumer group reads: the only look into metadata that members send each other.

The first version of the subscription is the beginning of all newer ones, so only it is read.
"""

from __future__ import annotations

import struct

from moldau.core.base.errors import CorruptData
from moldau.core.coordinators.group.classic import ClassicGroup
from moldau.core.protocol import codec
from moldau.core.protocol.messages.consumer_protocol import ConsumerProtocolSubscription

CONSUMER = "consumer"
_VERSION = struct.Struct(">h")


def subscribed_topics(group: ClassicGroup) -> frozenset[str] | None:
    """The topics of all members; None where they cannot be told."""
    if group.protocol_type != CONSUMER:
        return None
    topics: set[str] = set()
    for member in group.members:
        metadata = member.metadata(group.protocol)
        try:
            if len(metadata) < _VERSION.size or _VERSION.unpack_from(metadata)[0] < 0:
                return None
            subscription, _ = codec.decoder(ConsumerProtocolSubscription, 0)(metadata, _VERSION.size, len(metadata))
        except CorruptData:
            return None
        topics.update(subscription.topics)
    return frozenset(topics)
