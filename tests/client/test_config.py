"""Client settings: what a user gave, in librdkafka's words."""

from __future__ import annotations

import socket

import pytest

from moldau.client.config import Connection, from_java, split_address
from moldau.client.errors import Unreachable


def test_precedence_of_the_address() -> None:
    file = "bootstrap.servers=file:1\nclient.id=mine"
    assert Connection.build("flag:1", "default:1", file).bootstrap == "flag:1"
    assert Connection.build(None, "default:1", file).bootstrap == "file:1"
    assert Connection.build(None, "default:1").bootstrap == "default:1"
    made = Connection.build(None, "default:1", file, {"linger.ms": "5"}, 3.0)
    assert made.settings == {"log_level": "0", "bootstrap.servers": "file:1", "client.id": "mine", "linger.ms": "5"}
    assert made.timeout_s == 3.0


def test_clients_are_quiet_unless_asked_to_debug() -> None:
    assert Connection.build(None, "a:1").settings["log_level"] == "0"
    assert "log_level" not in Connection.build(None, "a:1", "", {"debug": "broker"}).settings


@pytest.mark.parametrize(
    ("java", "ours"),
    [
        ({"security.protocol": "SASL_SSL"}, {"security.protocol": "SASL_SSL"}),
        (
            {
                "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.jaas.config": 'org.apache.kafka.X required username="u" password="p\\"w";',
            },
            {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "u", "sasl.password": 'p"w'},
        ),
        (
            {"ssl.truststore.location": "/ca.pem", "ssl.truststore.type": "PEM", "ssl.truststore.password": "x"},
            {"ssl.ca.location": "/ca.pem"},
        ),
        (
            {"ssl.keystore.location": "/k.pem", "ssl.keystore.type": "PEM", "ssl.key.password": "x"},
            {"ssl.certificate.location": "/k.pem", "ssl.key.location": "/k.pem", "ssl.key.password": "x"},
        ),
        (
            {"ssl.keystore.location": "/k.p12", "ssl.keystore.type": "PKCS12", "ssl.keystore.password": "x"},
            {"ssl.keystore.location": "/k.p12", "ssl.keystore.password": "x"},
        ),
        ({"ssl.endpoint.identification.algorithm": ""}, {"ssl.endpoint.identification.algorithm": "none"}),
        ({"request.timeout.ms": "5"}, {"socket.timeout.ms": "5"}),
        ({"key.serializer": "x", "default.api.timeout.ms": "1"}, {}),
    ],
)
def test_javas_names(java: dict[str, str], ours: dict[str, str]) -> None:
    assert from_java(java) == ours


@pytest.mark.parametrize("key", ["ssl.truststore.location", "ssl.keystore.location"])
def test_stores_that_need_a_jvm_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is a JKS store, which needs a JVM"):
        from_java({key: "/x.jks"})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host:1", ("host", 1)),
        (" host ", ("host", 9092)),
        ("PLAINTEXT://host:1", ("host", 1)),
        ("[::1]:5", ("::1", 5)),
        ("[::1]", ("::1", 9092)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["", ":1", "host:", "host:x", "host:99999"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(Unreachable, match="is not HOST:PORT"):
        split_address(text)


def test_check_says_at_once_that_nobody_listens() -> None:
    with socket.socket() as listening, socket.socket() as silent:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        silent.bind(("127.0.0.1", 0))
        there = f"127.0.0.1:{listening.getsockname()[1]}"
        nobody = f"127.0.0.1:{silent.getsockname()[1]}"
        Connection.build(f"{nobody},{there}", "").check()
        with pytest.raises(Unreachable, match=f"no broker answers at {nobody}: Connection refused"):
            Connection.build(nobody, "").check()
