"""The voters of the metadata quorum, and what a majority of them agrees on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from moldau.core.protocol.stored.raft import (
    KRaftVersionFeature,
    LeaderChangeVoter,
    VotersRecord,
    VotersRecordEndpoint,
    VotersRecordVoter,
)

# Levels of kraft.version: 0 has static voters, 1 keeps them in the log with their directory ids.
STATIC_VOTERS = 0
LOGGED_VOTERS = 1


class ReplicaKey(NamedTuple):
    """A voter: a node and the directory that holds its vote, so that a wiped disk is another voter."""

    id: int
    directory_id: bytes


class VoterEndpoint(NamedTuple):
    """Where a voter's controller listens, under the listener's name."""

    name: str
    host: str
    port: int


class Voter(NamedTuple):
    """One voter and where it is."""

    key: ReplicaKey
    endpoints: tuple[VoterEndpoint, ...] = ()


class VoterSet(NamedTuple):
    """The voters, and how they are kept (`kraft_version`)."""

    voters: tuple[Voter, ...]
    kraft_version: int = LOGGED_VOTERS

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(voter.key.id for voter in self.voters)

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self.voters) // 2 + 1

    def agrees(self, granted: Iterable[int]) -> bool:
        """Whether these voters are a majority."""
        return len(set(granted) & set(self.ids)) >= self.majority

    def agreed_offset(self, ends: Mapping[int, int]) -> int:
        """The highest offset that a majority has reached, given each voter's; a voter without one is at 0."""
        reached = sorted((ends.get(id, 0) for id in self.ids), reverse=True)
        return reached[self.majority - 1]


def to_record(voters: VoterSet) -> VotersRecord:
    """The control record that makes this voter set."""
    return VotersRecord(
        version=0,
        voters=[
            VotersRecordVoter(
                voter_id=voter.key.id,
                voter_directory_id=voter.key.directory_id,
                endpoints=[VotersRecordEndpoint(*endpoint) for endpoint in voter.endpoints],
                kraft_version_feature=KRaftVersionFeature(STATIC_VOTERS, LOGGED_VOTERS),
            )
            for voter in voters.voters
        ],
    )


def from_record(record: VotersRecord) -> VoterSet:
    """The voter set that a control record makes."""
    return VoterSet(
        tuple(
            Voter(
                ReplicaKey(voter.voter_id, voter.voter_directory_id),
                tuple(VoterEndpoint(endpoint.name, endpoint.host, endpoint.port) for endpoint in voter.endpoints),
            )
            for voter in record.voters
        )
    )


def leader_change_voters(ids: Iterable[int]) -> list[LeaderChangeVoter]:
    """Voters as a LeaderChange record names them (version 0: by id)."""
    return [LeaderChangeVoter(voter_id=id) for id in ids]
