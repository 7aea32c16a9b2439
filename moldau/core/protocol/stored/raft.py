"""What the quorum stores: control records of the metadata log, and the `quorum-state` file. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int16, int32, int64, message, nested, string, struct, uint16, uuid


@struct(name="Voter")
class QuorumStateVoter:
    voter_id: int = int32("0")


@message("data", -1, "0-1", flexible="0+")
class QuorumStateData:
    """A voter's durable state; kept as JSON in the file `quorum-state`."""

    cluster_id: str = string("0")
    leader_id: int = int32(default=-1)
    leader_epoch: int = int32(default=-1)
    voted_id: int = int32(default=-1)
    voted_directory_id: bytes = uuid("1+")
    applied_offset: int = int64("0")
    current_voters: list[QuorumStateVoter] | None = array(QuorumStateVoter, "0", nullable="0")


@struct(name="Voter")
class LeaderChangeVoter:
    voter_id: int = int32()
    voter_directory_id: bytes = uuid("1+")


@message("data", -1, "0-1", flexible="0+")
class LeaderChangeMessage:
    """Control record: a leader took its epoch."""

    version: int = int16()
    leader_id: int = int32(entity="brokerId")
    voters: list[LeaderChangeVoter] = array(LeaderChangeVoter)
    granting_voters: list[LeaderChangeVoter] = array(LeaderChangeVoter)


@message("data", -1, "0", flexible="0+")
class KRaftVersionRecord:
    """Control record: the finalized kraft.version."""

    version: int = int16()
    kraft_version: int = int16()


@struct(name="Endpoint")
class VotersRecordEndpoint:
    name: str = string()
    host: str = string()
    port: int = uint16()


@struct(frozen=True)
class KRaftVersionFeature:
    min_supported_version: int = int16()
    max_supported_version: int = int16()


@struct(name="Voter")
class VotersRecordVoter:
    voter_id: int = int32(entity="brokerId")
    voter_directory_id: bytes = uuid()
    endpoints: list[VotersRecordEndpoint] = array(VotersRecordEndpoint)
    kraft_version_feature: KRaftVersionFeature = nested(KRaftVersionFeature)


@message("data", -1, "0", flexible="0+")
class VotersRecord:
    """Control record: the voter set."""

    version: int = int16()
    voters: list[VotersRecordVoter] = array(VotersRecordVoter)


@message("data", -1, "0", flexible="0+")
class SnapshotHeaderRecord:
    """Control record: the first of a snapshot."""

    version: int = int16()
    last_contained_log_timestamp: int = int64()


@message("data", -1, "0", flexible="0+")
class SnapshotFooterRecord:
    """Control record: the last of a snapshot."""

    version: int = int16()
