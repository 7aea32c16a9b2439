"""Random worlds from seeds; and proof that they would notice: planted bugs that they must find."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from moldau.core.coordinators.group import stored_form
from moldau.core.coordinators.group.member import Member
from moldau.core.coordinators.group.membership import Membership
from moldau.core.coordinators.runtime import Runtime
from tests.support import scale
from tests.support.group_simulation import Simulation

SEEDS = scale.amount("group_seeds", test=25, prove=2000)
PLANTED_SEEDS = 25
STEPS = 250


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_must_hold_holds(seed: int) -> None:
    Simulation(seed).run(STEPS)


# One rule broken each.


def answer_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """Answers leave at append."""
    original = Runtime._carry_out

    def carry_out(self, slot, decision, now):  # type: ignore[no-untyped-def]
        replies, decision.replies = decision.replies, []
        original(self, slot, decision, now)
        if slot.shard is not None:
            for waiter, answer in replies:
                waiter.complete(answer)

    patch.setattr(Runtime, "_carry_out", carry_out)


def forget_the_assignment(patch: pytest.MonkeyPatch) -> None:
    """A replayed record does not say who reads what."""
    original = stored_form._restore_member

    def restore(members, stored, protocol):  # type: ignore[no-untyped-def]
        original(members, stored, protocol)
        members.by_id[stored.member_id].assignment = b""

    patch.setattr(stored_form, "_restore_member", restore)


def keep_a_leader_that_left(patch: pytest.MonkeyPatch) -> None:
    """Nobody takes the place of a leader that goes."""
    original = Membership.take

    def take(self: Membership, member_id: str) -> Member | None:
        leader = self.leader
        member = original(self, member_id)
        self.leader = leader
        return member

    patch.setattr(Membership, "take", take)


def forget_who_waits_for_an_assignment(patch: pytest.MonkeyPatch) -> None:
    """A rebalance does not answer those who wait in SyncGroup."""

    def answer_sync(self: Membership, member: Member, answer: object, out: object) -> bool:
        if isinstance(answer, int):
            member.waiting_sync = None
            return False
        return original(self, member, answer, out)  # type: ignore[arg-type]

    original = Membership.answer_sync
    patch.setattr(Membership, "answer_sync", answer_sync)


PLANTED = [
    answer_before_the_commit,
    forget_the_assignment,
    keep_a_leader_that_left,
    forget_who_waits_for_an_assignment,
]


@pytest.mark.parametrize("plant", PLANTED)
def test_planted_bugs_are_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        run_all()


def run_all() -> None:
    for seed in range(PLANTED_SEEDS):
        Simulation(seed).run(STEPS)
