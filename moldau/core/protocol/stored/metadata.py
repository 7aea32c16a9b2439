"""The records of `__cluster_metadata`. Declarations only; framing is in `frame.py`."""

from __future__ import annotations

from moldau.core.protocol.schema import (
    array,
    boolean,
    float64,
    int8,
    int16,
    int32,
    int64,
    message,
    octets,
    string,
    struct,
    uint16,
    uuid,
)


@message("metadata", 2, "0", flexible="0+")
class TopicRecord:
    """A topic came to be."""

    name: str = string(entity="topicName")
    topic_id: bytes = uuid()


@message("metadata", 3, "0-2", flexible="0+")
class PartitionRecord:
    """A partition came to be, or is described whole in a snapshot."""

    partition_id: int = int32(default=-1)
    topic_id: bytes = uuid()
    replicas: list[int] = array(int32(), entity="brokerId")
    isr: list[int] = array(int32())
    removing_replicas: list[int] = array(int32(), entity="brokerId")
    adding_replicas: list[int] = array(int32(), entity="brokerId")
    leader: int = int32(default=-1, entity="brokerId")
    leader_recovery_state: int = int8(tag=0)
    leader_epoch: int = int32(default=-1)
    partition_epoch: int = int32(default=-1)
    directories: list[bytes] = array(uuid(), "1+")
    eligible_leader_replicas: list[int] | None = array(
        int32(), "2+", nullable="2+", default=None, tag=1, entity="brokerId"
    )
    last_known_elr: list[int] | None = array(int32(), "2+", nullable="2+", default=None, tag=2, entity="brokerId")


@message("metadata", 4, "0", flexible="0+")
class ConfigRecord:
    """A config entry of a resource; null removes it."""

    resource_type: int = int8()
    resource_name: str = string()
    name: str = string()
    value: str | None = string(nullable="0+")


@message("metadata", 5, "0-2", flexible="0+")
class PartitionChangeRecord:
    """What changed of a partition; the rest stays."""

    partition_id: int = int32(default=-1)
    topic_id: bytes = uuid()
    isr: list[int] | None = array(int32(), nullable="0+", default=None, tag=0, entity="brokerId")
    leader: int = int32(default=-2, tag=1, entity="brokerId")
    replicas: list[int] | None = array(int32(), nullable="0+", default=None, tag=2, entity="brokerId")
    removing_replicas: list[int] | None = array(int32(), nullable="0+", default=None, tag=3, entity="brokerId")
    adding_replicas: list[int] | None = array(int32(), nullable="0+", default=None, tag=4, entity="brokerId")
    leader_recovery_state: int = int8(default=-1, tag=5)
    directories: list[bytes] | None = array(uuid(), "1+", nullable="1+", default=None, tag=8)
    eligible_leader_replicas: list[int] | None = array(
        int32(), "2+", nullable="2+", default=None, tag=6, entity="brokerId"
    )
    last_known_elr: list[int] | None = array(int32(), "2+", nullable="2+", default=None, tag=7, entity="brokerId")


@message("metadata", 9, "0", flexible="0+")
class RemoveTopicRecord:
    """A topic and its partitions are gone."""

    topic_id: bytes = uuid()


@message("metadata", 12, "0", flexible="0+")
class FeatureLevelRecord:
    """A finalized feature level; 0 removes it."""

    name: str = string()
    feature_level: int = int16()


@struct
class BrokerEndpoint:
    name: str = string()
    host: str = string()
    port: int = uint16()
    security_protocol: int = int16()


@struct
class BrokerFeature:
    name: str = string()
    min_supported_version: int = int16()
    max_supported_version: int = int16()


@message("metadata", 0, "0-4", flexible="0+")
class RegisterBrokerRecord:
    """A broker process introduced itself."""

    broker_id: int = int32(entity="brokerId")
    is_migrating_zk_broker: bool = boolean("2+")
    incarnation_id: bytes = uuid()
    broker_epoch: int = int64()
    end_points: list[BrokerEndpoint] = array(BrokerEndpoint)
    features: list[BrokerFeature] = array(BrokerFeature)
    rack: str | None = string(nullable="0+")
    fenced: bool = boolean(default=True)
    in_controlled_shutdown: bool = boolean("1+")
    log_dirs: list[bytes] = array(uuid(), "3+", tag=0)
    cordoned_log_dirs: list[bytes] | None = array(uuid(), "4+", nullable="4+", default=None, tag=1)


@message("metadata", 1, "0", flexible="0+")
class UnregisterBrokerRecord:
    """A broker is gone for good."""

    broker_id: int = int32(entity="brokerId")
    broker_epoch: int = int64()


@message("metadata", 17, "0-3", flexible="0+")
class BrokerRegistrationChangeRecord:
    """Fencing or shutdown state of a registered broker changed."""

    broker_id: int = int32(entity="brokerId")
    broker_epoch: int = int64()
    fenced: int = int8(tag=0)
    in_controlled_shutdown: int = int8("1+", tag=1)
    log_dirs: list[bytes] = array(uuid(), "2+", tag=2)
    cordoned_log_dirs: list[bytes] | None = array(uuid(), "3+", nullable="3+", default=None, tag=3)


@message("metadata", 7, "0", flexible="0+")
class FenceBrokerRecord:
    """A broker is fenced (superseded by BrokerRegistrationChangeRecord)."""

    id: int = int32(entity="brokerId")
    epoch: int = int64()


@message("metadata", 8, "0", flexible="0+")
class UnfenceBrokerRecord:
    """A broker is unfenced (superseded by BrokerRegistrationChangeRecord)."""

    id: int = int32(entity="brokerId")
    epoch: int = int64()


@struct
class ControllerEndpoint:
    name: str = string()
    host: str = string()
    port: int = uint16()
    security_protocol: int = int16()


@struct
class ControllerFeature:
    name: str = string()
    min_supported_version: int = int16()
    max_supported_version: int = int16()


@message("metadata", 27, "0", flexible="0+")
class RegisterControllerRecord:
    """A controller process introduced itself."""

    controller_id: int = int32()
    incarnation_id: bytes = uuid()
    zk_migration_ready: bool = boolean()
    end_points: list[ControllerEndpoint] = array(ControllerEndpoint)
    features: list[ControllerFeature] = array(ControllerFeature)


@message("metadata", 15, "0", flexible="0+")
class ProducerIdsRecord:
    """A block of producer ids was given to a broker."""

    broker_id: int = int32(entity="brokerId")
    broker_epoch: int = int64(default=-1)
    next_producer_id: int = int64()


@message("metadata", 20, "0", flexible="0+")
class NoOpRecord:
    """Nothing; keeps the log moving."""


@message("metadata", 23, "0", flexible="0+")
class BeginTransactionRecord:
    """The records to the matching end take effect together."""

    name: str | None = string(nullable="0+", default=None, tag=0)


@message("metadata", 24, "0", flexible="0+")
class EndTransactionRecord:
    """The open transaction of records takes effect."""


@message("metadata", 25, "0", flexible="0+")
class AbortTransactionRecord:
    """The open transaction of records is dropped."""

    reason: str | None = string(nullable="0+", default=None, tag=0)


@message("metadata", 28, "0", flexible="0+")
class ClearElrRecord:
    """The eligible leader replicas of a topic (null: of all topics) are cleared."""

    topic_name: str = string(entity="topicName")


@message("metadata", 18, "0", flexible="0+")
class AccessControlEntryRecord:
    """An ACL entry."""

    id: bytes = uuid()
    resource_type: int = int8()
    resource_name: str = string()
    pattern_type: int = int8()
    principal: str = string()
    host: str = string()
    operation: int = int8()
    permission_type: int = int8()


@message("metadata", 19, "0", flexible="0+")
class RemoveAccessControlEntryRecord:
    """An ACL entry is gone."""

    id: bytes = uuid()


@struct
class EntityData:
    entity_type: str = string()
    entity_name: str | None = string(nullable="0+")


@message("metadata", 14, "0", flexible="0+")
class ClientQuotaRecord:
    """A quota of a client entity."""

    entity: list[EntityData] = array(EntityData)
    key: str = string()
    value: float = float64()
    remove: bool = boolean()


@message("metadata", 11, "0", flexible="0+")
class UserScramCredentialRecord:
    """A user's SCRAM credential."""

    name: str = string()
    mechanism: int = int8()
    salt: bytes = octets()
    stored_key: bytes = octets()
    server_key: bytes = octets()
    iterations: int = int32()


@message("metadata", 22, "0", flexible="0+")
class RemoveUserScramCredentialRecord:
    """A user's SCRAM credential is gone."""

    name: str = string()
    mechanism: int = int8()


@message("metadata", 10, "0", flexible="0+")
class DelegationTokenRecord:
    """A delegation token."""

    owner: str = string()
    requester: str = string()
    renewers: list[str] = array(string())
    issue_timestamp: int = int64()
    max_timestamp: int = int64()
    expiration_timestamp: int = int64()
    token_id: str = string()


@message("metadata", 26, "0", flexible="0+")
class RemoveDelegationTokenRecord:
    """A delegation token is gone."""

    token_id: str = string()


@message("metadata", 21, "0", flexible="0+")
class ZkMigrationStateRecord:
    """The state of a migration from ZooKeeper; read, never written."""

    zk_migration_state: int = int8()
