"""The broker the interop tests share, and topics on it. TEST_BROKER=apache-kafka runs them on the oracle."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.admin import make_topic
from tests.support.brokers import chosen
from tests.support.process import BrokerProcess

HERE = Path(__file__).parent

NewTopic = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)
            # Warnings inside other people's clients are theirs.
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for all tests that do not stop it."""
    with chosen(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def new_topic(broker: BrokerProcess) -> NewTopic:
    """Makes a topic of its own for the test; its name."""

    def make(partitions: int = 1, **configs: str) -> str:
        name = f"topic-{uuid.uuid4().hex[:12]}"
        make_topic(broker.bootstrap, name, partitions, configs)
        return name

    return make
