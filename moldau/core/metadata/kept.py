"""Records of features that this release does not serve: kept as they are, so that no snapshot loses them.

A directory that came from Apache Kafka may hold ACLs, credentials, quotas, tokens and controllers. They are
replayed by their keys only and come out of a snapshot again unchanged. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from moldau.core.metadata.draft import ImageDraft
from moldau.core.metadata.image import ClusterImage
from moldau.core.protocol.stored.metadata import (
    AccessControlEntryRecord,
    ClientQuotaRecord,
    DelegationTokenRecord,
    NoOpRecord,
    RegisterControllerRecord,
    RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord,
    RemoveUserScramCredentialRecord,
    UserScramCredentialRecord,
    ZkMigrationStateRecord,
)

Key = tuple[object, ...]

_KEEP: dict[type, Callable[[Any], Key]] = {
    AccessControlEntryRecord: lambda record: ("acl", record.id),
    UserScramCredentialRecord: lambda record: ("scram", record.name, record.mechanism),
    DelegationTokenRecord: lambda record: ("token", record.token_id),
    RegisterControllerRecord: lambda record: ("controller", record.controller_id),
}

_DROP: dict[type, Callable[[Any], Key]] = {
    RemoveAccessControlEntryRecord: lambda record: ("acl", record.id),
    RemoveUserScramCredentialRecord: lambda record: ("scram", record.name, record.mechanism),
    RemoveDelegationTokenRecord: lambda record: ("token", record.token_id),
}


def _keep(draft: ImageDraft, record: Any) -> None:
    draft.kept[_KEEP[type(record)](record)] = record


def _drop(draft: ImageDraft, record: Any) -> None:
    draft.kept.discard(_DROP[type(record)](record))


def _quota(draft: ImageDraft, record: ClientQuotaRecord) -> None:
    entity = frozenset((part.entity_type, part.entity_name) for part in record.entity)
    if record.remove:
        draft.kept.discard(("quota", entity, record.key))
    else:
        draft.kept["quota", entity, record.key] = record


def _ignore(draft: ImageDraft, record: Any) -> None:
    """Says nothing that lasts."""


REPLAY: dict[type, Callable[[ImageDraft, Any], None]] = {
    **dict.fromkeys(_KEEP, _keep),
    **dict.fromkeys(_DROP, _drop),
    ClientQuotaRecord: _quota,
    NoOpRecord: _ignore,
    ZkMigrationStateRecord: _ignore,
}


def dump(image: ClusterImage) -> Iterator[Any]:
    """The kept records."""
    yield from image.kept.values()
