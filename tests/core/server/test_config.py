"""Listeners are parsed, and addresses nobody could connect to are refused at the start."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import parse
from moldau.core.server.config import BrokerConfig, Endpoint


def broker(**settings: str) -> BrokerConfig:
    return parse(BrokerConfig, {key.replace("_", "."): text for key, text in settings.items()})


def test_listeners_become_endpoints() -> None:
    config = broker(listeners="PLAINTEXT://127.0.0.1:9092,local://[::1]:0,ALL://:9094")
    assert config.endpoints() == [
        Endpoint("PLAINTEXT", "127.0.0.1", 9092),
        Endpoint("LOCAL", "::1", 0),
        Endpoint("ALL", "", 9094),
    ]
    assert str(config.endpoints()[1]) == "LOCAL://[::1]:0"


@pytest.mark.parametrize(
    "listeners", ["localhost:9092", "A://host", "A://host:port", "A://host:65536", "A://h:1,A://h:2", "://h:1", ""]
)
def test_what_is_no_listener_is_refused(listeners: str) -> None:
    with pytest.raises(ConfigError):
        broker(listeners=listeners).endpoints()


def test_nothing_advertised_means_each_client_is_told_the_address_it_came_by() -> None:
    assert broker().advertised() == {}


def test_an_advertised_address_belongs_to_a_listener_and_can_be_connected_to() -> None:
    advertised = broker(advertised_listeners="PLAINTEXT://kafka.example:19092").advertised()
    assert advertised == {"PLAINTEXT": Endpoint("PLAINTEXT", "kafka.example", 19092)}
    with pytest.raises(ConfigError, match="not among listeners"):
        broker(advertised_listeners="OTHER://h:1").advertised()
    with pytest.raises(ConfigError, match="wildcard"):
        broker(advertised_listeners="PLAINTEXT://0.0.0.0:9092").advertised()
