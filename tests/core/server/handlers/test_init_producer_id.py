"""InitProducerId on the wire: ids for idempotent producers; transactions are refused for good."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from tests.core.server.handlers.conftest import Held
from tests.support.inprocess import InProcess
from tests.support.wire import Wire


def ask(wire: Wire, version: int = 5, **more: Any) -> InitProducerIdResponse:
    """Asks again while the oracle loads its ids."""
    for _ in range(100):
        request = InitProducerIdRequest(**{"transactional_id": None, "transaction_timeout_ms": 60_000, **more})
        answer = wire.call(request, InitProducerIdResponse, version)
        if answer.error_code != ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            break
    return answer


@pytest.mark.parametrize("version", range(6))
def test_an_id_of_its_own_for_everyone(wire: Wire, version: int) -> None:
    answers = [ask(wire, version) for _ in range(3)]
    assert [(answer.error_code, answer.producer_epoch) for answer in answers] == [(0, 0)] * 3
    assert len({answer.producer_id for answer in answers}) == 3
    assert min(answer.producer_id for answer in answers) >= 0


@pytest.mark.parametrize("timeout_ms", [0, -1])
def test_without_transactions_their_timeout_does_not_matter(wire: Wire, timeout_ms: int) -> None:
    assert ask(wire, transaction_timeout_ms=timeout_ms).error_code == 0


def test_an_earlier_id_is_not_looked_at(wire: Wire) -> None:
    answer = ask(wire, producer_id=5, producer_epoch=5)
    assert (answer.error_code, answer.producer_epoch) == (0, 0)


@pytest.mark.parametrize(
    "wrong", [{"producer_id": 5}, {"producer_epoch": 5}, {"producer_id": -2}, {"transactional_id": ""}]
)
def test_requests_that_cannot_be(wire: Wire, wrong: dict[str, Any]) -> None:
    answer = ask(wire, **wrong)
    assert (answer.error_code, answer.producer_id, answer.producer_epoch) == (ErrorCode.INVALID_REQUEST, -1, -1)


def test_transactions_are_refused_for_good_and_the_log_says_why(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "moldau.server"):
        answer = ask(held.wire, transactional_id="payments")
    assert answer.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    assert not ErrorCode(answer.error_code).retriable
    assert (answer.producer_id, answer.producer_epoch) == (-1, -1)
    assert "payments" in caplog.text
    assert "does not serve" in caplog.text


def test_ids_are_not_given_twice_across_restarts(tmp_path: Path, oracle: bool) -> None:
    if oracle:
        pytest.skip("restarts a broker of ours")
    ids = []
    for _ in range(2):
        with InProcess(tmp_path) as broker, broker.connect() as wire:
            ids += [ask(wire).producer_id for _ in range(3)]
    assert len(set(ids)) == 6


def test_a_disk_that_failed(held: Held) -> None:
    held.files.break_syncs(OSError(5, "EIO"))
    request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=1)
    answer = held.wire.call(request, InitProducerIdResponse, 5)
    assert answer.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert ErrorCode.COORDINATOR_LOAD_IN_PROGRESS.retriable
