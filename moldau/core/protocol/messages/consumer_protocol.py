"""What consumers of the "consumer" protocol put into JoinGroup and SyncGroup. Declarations only.

A broker passes these bytes on unread, except to describe a group or to find the topics it subscribes to.
On the wire an int16 version precedes each message.
"""

from __future__ import annotations

from moldau.core.protocol.schema import array, int32, message, octets, string, struct


@struct(name="TopicPartition")
class OwnedPartitions:
    topic: str = string("1+", entity="topicName")
    partitions: list[int] = array(int32(), "1+")


@message("data", -1, "0-3")
class ConsumerProtocolSubscription:
    """What a member subscribes to and owns."""

    topics: list[str] = array(string())
    user_data: bytes | None = octets(nullable="0+", default=None)
    owned_partitions: list[OwnedPartitions] = array(OwnedPartitions, "1+", ignorable=True)
    generation_id: int = int32("2+", default=-1, ignorable=True)
    rack_id: str | None = string("3+", nullable="3+", default=None, ignorable=True)


@struct(name="TopicPartition")
class AssignedPartitions:
    topic: str = string(entity="topicName")
    partitions: list[int] = array(int32())


@message("data", -1, "0-3")
class ConsumerProtocolAssignment:
    """What a member is to read."""

    assigned_partitions: list[AssignedPartitions] = array(AssignedPartitions)
    user_data: bytes | None = octets(nullable="0+", default=None)
