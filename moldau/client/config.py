"""Where the cluster is and how to talk to it: settings for confluent-kafka from what a user gave.

Settings files are those of Kafka's own tools (Java names); `from_java` turns what differs into librdkafka's
names and leaves the rest alone. Clients are made here and nowhere else, so that they are all quiet, named
and reachable in the same way.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moldau.client.errors import Unreachable
from moldau.core.base.properties import parse_properties

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

DEFAULT_PORT = 9092

# librdkafka writes its own log lines to stderr; failures reach the user as errors instead. 0 is "emergencies only".
_QUIET = {"log_level": "0"}

_JAAS = re.compile(r'\b(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"')

# Java's name -> librdkafka's, where the value is the same.
_RENAMED = {
    "request.timeout.ms": "socket.timeout.ms",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
    "ssl.truststore.certificates": "ssl.ca.pem",
}

# Meaningful to the Java tools only.
_JAVA_ONLY = frozenset(
    {
        *(
            "auto.include.jmx.reporter",
            "client.dns.lookup",
            "default.api.timeout.ms",
            "key.deserializer",
            "key.serializer",
        ),
        *("metric.reporters", "sasl.login.callback.handler.class", "ssl.enabled.protocols", "ssl.keystore.type"),
        *("ssl.protocol", "ssl.truststore.password", "ssl.truststore.type", "value.deserializer", "value.serializer"),
    }
)


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster as seen from here. `settings` are librdkafka's, `bootstrap.servers` among them."""

    bootstrap: str
    settings: Mapping[str, str]
    timeout_s: float = 10.0

    @classmethod
    def build(
        cls,
        bootstrap: str | None,
        default: str,
        file: str = "",
        overrides: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> Connection:
        """`bootstrap` wins over the file's bootstrap.servers, that over `default`; `overrides` win over the file.

        Raises ValueError when the file's text is broken or asks for what librdkafka cannot do.
        """
        settings = from_java(parse_properties(file))
        settings.update(overrides or {})
        servers = bootstrap or settings.get("bootstrap.servers") or default
        settings["bootstrap.servers"] = servers
        settings.setdefault("client.id", "moldau")
        if "debug" not in settings:
            settings = {**_QUIET, **settings}
        return cls(servers, settings, timeout_s)

    def check(self) -> None:
        """Raise Unreachable, at once where nothing listens, unless a TCP connection to one of the servers opens."""
        reasons = []
        for server in self.bootstrap.split(","):
            host, port = split_address(server)
            try:
                socket.create_connection((host, port), timeout=self.timeout_s).close()
                return
            except OSError as error:
                reasons.append(f"{server.strip()}: {error.strerror or error}")
        raise Unreachable(f"no broker answers at {'; '.join(reasons)}")

    def admin(self) -> AdminClient:
        from confluent_kafka.admin import AdminClient

        self.check()
        return AdminClient(dict(self.settings))

    def producer(self, extra: Mapping[str, Any]) -> Producer:
        """`extra`: settings and callbacks of the caller, weaker than the user's own."""
        from confluent_kafka import Producer

        self.check()
        return Producer({**extra, **self.settings})

    def consumer(self, extra: Mapping[str, Any]) -> Consumer:
        """`extra`: settings and callbacks of the caller, weaker than the user's own."""
        from confluent_kafka import Consumer

        self.check()
        return Consumer({**extra, **self.settings})


def split_address(server: str) -> tuple[str, int]:
    """`host:port`, `[::1]:port` or `host` -> (host, port). Raises Unreachable for what is neither."""
    text = server.strip().rpartition("://")[2]
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not port.isdigit() or int(port) > 65535 or not host:
        raise Unreachable(f"{server!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def from_java(properties: Mapping[str, str]) -> dict[str, str]:
    """A client's Java properties as librdkafka settings. Raises ValueError for a key store it cannot read."""
    settings: dict[str, str] = {}
    for key, value in properties.items():
        if key == "sasl.jaas.config":
            settings.update({f"sasl.{name}": _unquoted(text) for name, text in _JAAS.findall(value)})
        elif key == "ssl.truststore.location":
            _need(properties, "ssl.truststore.type", "PEM", key)
            settings["ssl.ca.location"] = value
        elif key == "ssl.keystore.location":
            settings.update(_key_store(properties, value))
        elif key == "ssl.endpoint.identification.algorithm":
            settings[key] = value or "none"
        elif key not in _JAVA_ONLY:
            settings[_RENAMED.get(key, key)] = value
    return settings


def _key_store(properties: Mapping[str, str], location: str) -> dict[str, str]:
    if properties.get("ssl.keystore.type", "JKS").upper() == "PKCS12":
        return {"ssl.keystore.location": location}
    _need(properties, "ssl.keystore.type", "PEM", "ssl.keystore.location")
    return {"ssl.certificate.location": location, "ssl.key.location": location}


def _need(properties: Mapping[str, str], key: str, kind: str, what: str) -> None:
    given = properties.get(key, "JKS")
    if given.upper() != kind:
        raise ValueError(f"{what} is a {given} store, which needs a JVM; convert it to {kind} and set {key}={kind}")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
