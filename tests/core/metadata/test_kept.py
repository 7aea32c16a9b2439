"""Records of features that are not served: no snapshot loses them."""

from __future__ import annotations

from moldau.core.metadata import kept
from moldau.core.protocol.stored.metadata import (
    AccessControlEntryRecord,
    ClientQuotaRecord,
    DelegationTokenRecord,
    EntityData,
    NoOpRecord,
    RegisterControllerRecord,
    RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord,
    RemoveUserScramCredentialRecord,
    UserScramCredentialRecord,
    ZkMigrationStateRecord,
)
from tests.support.images import EMPTY, replayed

ALICE = [EntityData(entity_type="user", entity_name="alice")]

KEPT = [
    AccessControlEntryRecord(id=b"a" * 16, principal="User:alice"),
    UserScramCredentialRecord(name="alice", mechanism=1, iterations=4096),
    DelegationTokenRecord(token_id="t", owner="User:alice"),
    RegisterControllerRecord(controller_id=1, incarnation_id=b"i" * 16),
    ClientQuotaRecord(entity=ALICE, key="producer_byte_rate", value=1024.0),
]


def test_kept_records_come_out_as_they_went_in() -> None:
    image = replayed(EMPTY, KEPT)
    assert list(kept.dump(image)) == KEPT
    assert replayed(EMPTY, list(kept.dump(image))).kept == image.kept


def test_a_later_record_replaces_an_earlier_one() -> None:
    image = replayed(EMPTY, [KEPT[1], UserScramCredentialRecord(name="alice", mechanism=1, iterations=8192)])
    assert [record.iterations for record in kept.dump(image)] == [8192]


def test_removals() -> None:
    removals = [
        RemoveAccessControlEntryRecord(id=b"a" * 16),
        RemoveUserScramCredentialRecord(name="alice", mechanism=1),
        RemoveDelegationTokenRecord(token_id="t"),
        ClientQuotaRecord(entity=ALICE, key="producer_byte_rate", remove=True),
    ]
    assert list(kept.dump(replayed(replayed(EMPTY, KEPT), removals))) == [KEPT[3]]


def test_records_that_say_nothing_that_lasts() -> None:
    assert replayed(EMPTY, [NoOpRecord(), ZkMigrationStateRecord(zk_migration_state=0)]).kept == {}
