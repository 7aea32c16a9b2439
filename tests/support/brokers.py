"""Which broker the process tests run on: Moldau, or Apache Kafka as the oracle (TEST_BROKER=apache-kafka)."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support import tools
from tests.support.broker import MoldauBroker
from tests.support.peer import ApacheKafka
from tests.support.process import BrokerProcess

KINDS: dict[str, type[BrokerProcess]] = {kind.name: kind for kind in (MoldauBroker, ApacheKafka)}


def chosen_name() -> str:
    return os.environ.get("TEST_BROKER", MoldauBroker.name)


def chosen(directory: Path, configs: dict[str, str] | None = None) -> BrokerProcess:
    """A broker of the chosen kind, not yet started. Skips the test where it cannot run."""
    if chosen_name() == ApacheKafka.name:
        tools.need_peer()
    return KINDS[chosen_name()](directory, configs)
