"""Brokers that the tests of sessions share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sessions import LOOPS, Server, server_on


@pytest.fixture(scope="module", params=LOOPS)
def shared_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from server_on(tmp_path_factory.mktemp("broker"), request.param)


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """The shared broker, checked for what a test left behind."""
    yield shared_server
    shared_server.end()


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Server]:
    """A broker whose bounds are as narrow as they may be."""
    yield from server_on(
        tmp_path,
        "auto",
        moldau_receive_budget_bytes=str(1 << 20),
        moldau_send_budget_bytes=str(1 << 20),
        moldau_pipeline_max_answers="5",
        moldau_pipeline_max_bytes="1024",
    )
