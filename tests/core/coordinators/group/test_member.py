"""One member: what it offers, what it votes for, whether its silence counts."""

from __future__ import annotations

from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.member import Member


def member(**how: object) -> Member:
    settings: dict[str, object] = {
        "member_id": "m",
        "instance_id": None,
        "client_id": "c",
        "client_host": "/h",
        "rebalance_timeout_ms": 1,
        "session_timeout_ms": 1,
        "protocols": (("a", b"1"), ("b", b"2")),
    }
    return Member(**{**settings, **how})  # type: ignore[arg-type]


def test_it_votes_for_the_first_candidate_it_offers() -> None:
    assert member().vote({"b", "a"}) == "a"
    assert member().vote({"b", "x"}) == "b"
    assert member().vote({"x"}) is None


def test_metadata_is_that_of_the_protocol() -> None:
    assert (member().metadata("b"), member().metadata("x"), member().metadata(None)) == (b"2", b"", b"")


def test_only_who_waits_may_be_silent_and_only_once_it_was_answered() -> None:
    assert not member().keeps_session
    assert member(waiting_join=Pending()).keeps_session
    assert member(waiting_sync=Pending()).keeps_session
    assert not member(waiting_join=Pending(), is_new=True).keeps_session


def test_an_instance_id_makes_a_static_member() -> None:
    assert member(instance_id="i").is_static
    assert not member().is_static
