"""Who leads in which epoch: the file `quorum-state`, Kafka's JSON, beside the metadata log.

    {"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}

Crash story: the file is replaced as a whole (temporary file, sync, rename). It is durable before anything that
depends on it leaves this node, so a voter never votes twice in an epoch and never leads one twice.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from moldau.core.base.errors import CorruptData
from moldau.core.base.ids import ZERO_UUID, uuid_from_text, uuid_text

FILE = "quorum-state"
NOBODY = -1

# 0: static voters, by id only. 1: with directory ids (KIP-853).
_VERSIONS = (0, 1)
_WRITTEN = 1


class ElectionState(NamedTuple):
    """What a voter must not forget. `voted_id` is who it voted for in `epoch` while there is no leader yet."""

    epoch: int = 0
    leader_id: int = NOBODY
    voted_id: int = NOBODY
    voted_directory_id: bytes = ZERO_UUID


def encode(state: ElectionState) -> bytes:
    """The file's content."""
    content = {
        "leaderId": state.leader_id,
        "leaderEpoch": state.epoch,
        "votedId": state.voted_id,
        "votedDirectoryId": uuid_text(state.voted_directory_id),
        "data_version": _WRITTEN,
    }
    return json.dumps(content, separators=(",", ":")).encode()


def decode(content: bytes) -> ElectionState:
    """What the file says. Raises CorruptData for anything else, and for a version of the future."""
    try:
        values: Any = json.loads(content)
        if values["data_version"] not in _VERSIONS:
            raise CorruptData(f"{FILE} has version {values['data_version']}, which this release does not know")
        return ElectionState(
            int(values["leaderEpoch"]),
            int(values["leaderId"]),
            int(values["votedId"]),
            uuid_from_text(values.get("votedDirectoryId") or uuid_text(ZERO_UUID)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptData(f"{FILE} cannot be read: {error!r}") from error
