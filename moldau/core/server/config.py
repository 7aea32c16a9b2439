"""The options of a broker as a whole. Topic defaults live in `core.log.config`, groups' in `core.coordinators`.

Names are Kafka's; what only we have is named `moldau.*`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import INT_MAX, KIB, MIB, option

CLIENT_PROTOCOLS = ("PLAINTEXT",)


class Endpoint(NamedTuple):
    """One listener: its name, and a host and port. An empty host means every address."""

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """What one broker process is told at its start."""

    node_id: int = option("node.id", 1, at_least=0, at_most=INT_MAX, doc="This node's id in its cluster.")
    cluster_id: str = option(
        "moldau.cluster.id", "", doc="The cluster id to format a new data directory with; empty makes a random one."
    )
    listeners: tuple[str, ...] = option(
        "listeners", ("PLAINTEXT://127.0.0.1:9092",), doc="Addresses to listen on, as NAME://HOST:PORT."
    )
    advertised_listeners: tuple[str, ...] = option(
        "advertised.listeners",
        (),
        doc="Addresses that clients are told to connect to, as NAME://HOST:PORT. Empty: each client is told the "
        "address it connected to.",
    )
    log_dirs: tuple[str, ...] = option("log.dirs", (), doc="Where the partitions' logs live.")
    num_partitions: int = option(
        "num.partitions", 1, at_least=1, at_most=INT_MAX, doc="Partitions of a topic made without a number of its own."
    )
    default_replication_factor: int = option(
        "default.replication.factor",
        1,
        at_least=1,
        at_most=INT_MAX,
        doc="Replicas of a topic made without a number of its own.",
    )
    auto_create_topics_enable: bool = option(
        "auto.create.topics.enable", True, doc="Make a topic when a client asks for its metadata."
    )
    socket_request_max_bytes: int = option(
        "socket.request.max.bytes", 100 * MIB, at_least=1, at_most=INT_MAX, doc="The largest request, in bytes."
    )
    socket_listen_backlog_size: int = option(
        "socket.listen.backlog.size",
        512,
        at_least=1,
        at_most=INT_MAX,
        doc="Connections the kernel holds before we accept them.",
    )
    max_connections: int = option(
        "max.connections", 10_000, at_least=0, at_most=INT_MAX, doc="Connections of all listeners together."
    )
    max_connections_per_ip: int = option(
        "max.connections.per.ip", INT_MAX, at_least=0, at_most=INT_MAX, doc="Connections from one address."
    )
    connections_max_idle_ms: int = option(
        "connections.max.idle.ms", 600_000, at_least=-1, doc="Close a connection that was silent this long; -1 never."
    )
    fetch_max_bytes: int = option(
        "fetch.max.bytes", 55 * MIB, at_least=1024, at_most=INT_MAX, doc="The most record bytes in one fetch answer."
    )
    receive_budget_bytes: int = option(
        "moldau.receive.budget.bytes",
        256 * MIB,
        at_least=MIB,
        doc="Bytes of half-received requests of all connections; a connection that would exceed it waits.",
    )
    send_budget_bytes: int = option(
        "moldau.send.budget.bytes",
        256 * MIB,
        at_least=MIB,
        doc="Bytes of answers that wait or were not taken; past it the connection that holds the most is closed.",
    )
    pipeline_max_answers: int = option(
        "moldau.pipeline.max.answers",
        1000,
        at_least=1,
        doc="Answers one connection may have waiting behind an earlier one before its reading pauses.",
    )
    pipeline_max_bytes: int = option(
        "moldau.pipeline.max.bytes",
        MIB,
        at_least=KIB,
        doc="Bytes of answers one connection may have waiting behind an earlier one before its reading pauses.",
    )
    frame_stall_timeout_ms: int = option(
        "moldau.frame.stall.timeout.ms",
        30_000,
        at_least=100,
        doc="Close a connection whose half-sent request got no byte for this long.",
    )
    shutdown_timeout_ms: int = option(
        "moldau.shutdown.timeout.ms", 10_000, at_least=0, doc="How long SIGTERM waits for requests and flushes."
    )
    status_log_interval_ms: int = option(
        "moldau.log.status.interval.ms",
        60_000,
        at_least=0,
        doc="How often the log says that the broker is alive and what it did; 0 never.",
    )
    loop: str = option(
        "moldau.event.loop", "auto", choices=("auto", "uvloop", "asyncio"), doc="The event loop; auto prefers uvloop."
    )

    def endpoints(self) -> list[Endpoint]:
        """The listeners, parsed. Raises ConfigError for one that cannot be."""
        return _endpoints("listeners", self.listeners)

    def advertised(self) -> dict[str, Endpoint]:
        """Advertised addresses by listener name; a missing name is advertised as the client reached it."""
        advertised = {
            endpoint.name: endpoint for endpoint in _endpoints("advertised.listeners", self.advertised_listeners)
        }
        known = {endpoint.name for endpoint in self.endpoints()}
        for name, endpoint in advertised.items():
            if name not in known:
                raise ConfigError(f"advertised.listeners names {name}, which is not among listeners")
            if endpoint.host in ("", "0.0.0.0", "::"):
                raise ConfigError(
                    f"advertised.listeners cannot be {endpoint}: clients cannot connect to a wildcard address"
                )
        return advertised


def _endpoints(key: str, texts: tuple[str, ...]) -> list[Endpoint]:
    found: list[Endpoint] = []
    for text in texts:
        endpoint = _endpoint(key, text)
        if any(other.name == endpoint.name for other in found):
            raise ConfigError(f"Invalid value {','.join(texts)} for configuration {key}: {endpoint.name} stands twice")
        found.append(endpoint)
    if not found and key == "listeners":
        raise ConfigError("Invalid value for configuration listeners: at least one listener is needed")
    return found


def _endpoint(key: str, text: str) -> Endpoint:
    name, separator, address = text.partition("://")
    host, colon, port = address.rpartition(":")
    if not separator or not colon or not port.isdigit() or int(port) > 65535 or not name:
        raise ConfigError(f"Invalid value {text} for configuration {key}: expected NAME://HOST:PORT")
    return Endpoint(name.upper(), host.strip("[]"), int(port))
