"""The broker that the handlers' wire tests share. TEST_BROKER=apache-kafka runs them on the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.brokers import chosen, chosen_name
from tests.support.inprocess import HeldFiles, InProcess
from tests.support.wire import Wire


class Reachable(Protocol):
    host: str
    port: int


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reachable]:
    """One broker for all tests that only send requests: in this process, or the oracle."""
    directory = tmp_path_factory.mktemp("broker")
    if chosen_name() == "moldau":
        with InProcess(directory) as broker:
            yield broker
            assert broker.errors == []
    else:
        with chosen(directory) as process:
            yield process


@pytest.fixture
def wire(shared: Reachable) -> Iterator[Wire]:
    with Wire(shared.host, shared.port) as connection:
        yield connection


@pytest.fixture
def second_wire(shared: Reachable) -> Iterator[Wire]:
    with Wire(shared.host, shared.port) as connection:
        yield connection


@pytest.fixture
def oracle() -> bool:
    """Whether the tests run on Apache Kafka: for what is ours by design."""
    return chosen_name() != "moldau"


class Held:
    """A broker whose disk the test holds."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None) -> None:
        self.files = HeldFiles()
        self.broker = InProcess(directory, settings, files=self.files)

    @property
    def wire(self) -> Wire:
        return self._wire

    def __enter__(self) -> Held:
        self.broker.start()
        self._wire = self.broker.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.files.release()
        self._wire.close()
        self.broker.stop()
        assert self.broker.errors == []


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    if chosen_name() != "moldau":
        pytest.skip("the oracle's disk cannot be held")
    with Held(tmp_path) as broker:
        yield broker
