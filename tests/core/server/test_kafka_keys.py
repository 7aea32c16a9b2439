"""The list of Kafka's broker configs against the running class of the peer."""

from __future__ import annotations

import re
import subprocess

import pytest

from moldau.core.server import kafka_keys
from tests.support import peer


def test_names_stand_in_one_set_only() -> None:
    sets = (kafka_keys.PUBLIC, kafka_keys.INTERNAL, kafka_keys.PLUGINS, kafka_keys.RETIRED)
    assert sum(map(len, sets)) == len(frozenset().union(*sets))


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("log.dirs", True),
        ("super.users", True),
        ("zookeeper.connect", True),
        ("listener.name.internal.ssl.client.auth", True),
        ("listener.name.internal.scram-sha-512.sasl.jaas.config", True),
        ("listener.name.internal.no.such", False),
        ("rsm.config.bucket", True),
        ("no.such.key", False),
    ],
)
def test_known(key: str, known: bool) -> None:
    assert kafka_keys.is_kafkas(key) is known


@pytest.mark.peer
def test_public_names_are_those_of_the_peer() -> None:
    if (missing := peer.missing()) is not None:
        pytest.skip(f"needs {missing}")
    done = subprocess.run(peer.java("kafka.server.KafkaConfig"), capture_output=True, text=True, check=True, timeout=60)
    assert set(re.findall(r'<h4><a id="([^"]+)"', done.stdout)) == kafka_keys.PUBLIC | _DYNAMIC_ONLY


# Documented by that class, but set per topic and broker only while running; no key of a server.properties.
_DYNAMIC_ONLY = {
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
}
