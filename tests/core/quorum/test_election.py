"""The file `quorum-state`."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import CorruptData
from moldau.core.quorum.election import ElectionState, decode, encode


def test_it_is_written_as_apache_kafka_writes_it() -> None:
    assert encode(ElectionState(epoch=2, leader_id=1)) == (
        b'{"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}'
    )


def test_what_is_written_is_read() -> None:
    state = ElectionState(7, -1, 3, bytes(range(16)))
    assert decode(encode(state)) == state


def test_the_older_version_has_no_directories() -> None:
    content = (
        b'{"clusterId":"","leaderId":1,"leaderEpoch":9,"votedId":-1,"appliedOffset":0,'
        b'"currentVoters":[{"voterId":1}],"data_version":0}'
    )
    assert decode(content) == ElectionState(9, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"leaderId":1,"leaderEpoch":"x","votedId":-1,"data_version":1}',
        b'{"data_version":2}',
    ],
)
def test_anything_else_is_corrupt(content: bytes) -> None:
    with pytest.raises(CorruptData):
        decode(content)
