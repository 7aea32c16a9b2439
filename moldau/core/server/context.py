"""What a handler may use: who asks, and the services of this broker.

One `Context` belongs to one connection; `client_id` changes with the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from moldau.core.base.errors import ErrorCode

if TYPE_CHECKING:
    import asyncio

    from moldau.core.base.clock import Clock
    from moldau.core.coordinators.coordinator import GroupCoordinator
    from moldau.core.metadata.config_view import ConfigView
    from moldau.core.metadata.controller import Controller
    from moldau.core.metadata.image import ClusterImage
    from moldau.core.protocol.registry import Api
    from moldau.core.replication.replicas import Replicas
    from moldau.core.server.config import BrokerConfig, Endpoint
    from moldau.core.server.producer_ids import ProducerIds


@dataclass(slots=True)
class Services:
    """What all connections share; made by the composition root."""

    config: BrokerConfig
    clock: Clock
    loop: asyncio.AbstractEventLoop
    controller: Controller
    replicas: Replicas
    groups: GroupCoordinator
    config_view: ConfigView
    apis: dict[int, Api]
    advertised: dict[str, Endpoint]
    metadata_cache: dict[tuple[object, ...], bytes]
    producer_ids: ProducerIds


class Context:
    """One connection as handlers see it."""

    __slots__ = ("client_host", "client_id", "client_software", "listener_name", "local_address", "services")

    def __init__(self, services: Services, listener_name: str, client_host: str, local: tuple[str, int]) -> None:
        self.services = services
        self.listener_name = listener_name
        self.client_host = client_host
        self.local_address = local
        self.client_id: str | None = None
        self.client_software = ("", "")

    @property
    def config(self) -> BrokerConfig:
        return self.services.config

    @property
    def clock(self) -> Clock:
        return self.services.clock

    @property
    def controller(self) -> Controller:
        return self.services.controller

    @property
    def image(self) -> ClusterImage:
        """The committed metadata."""
        return self.services.controller.image

    @property
    def config_view(self) -> ConfigView:
        """What settings come to."""
        return self.services.config_view

    @property
    def replicas(self) -> Replicas:
        return self.services.replicas

    @property
    def groups(self) -> GroupCoordinator:
        return self.services.groups

    def leader_of(self, topic: str, topic_id: bytes, index: int) -> tuple[int, int]:
        """Who leads a partition, and its epoch, by the committed metadata; by the topic's name or else its id."""
        image = self.services.controller.image
        found = image.topics_by_name.get(topic) or image.topics_by_id.get(topic_id)
        if found is None or not 0 <= index < len(found.partitions):
            return -1, -1
        state = found.partitions[index]
        return state.leader, state.leader_epoch

    def why_not_here(self, topic: str, index: int) -> ErrorCode:
        """The error for a partition that this broker does not lead: it is not there, or nobody or another leads it."""
        known = self.services.replicas.by_name.get(topic)
        there = known is not None and 0 <= index < len(known)
        return ErrorCode.NOT_LEADER_OR_FOLLOWER if there else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def advertised_host(self) -> tuple[str, int]:
        """Where this client is told to find this broker: the configured address, or the one it came by."""
        endpoint = self.services.advertised.get(self.listener_name)
        return self.local_address if endpoint is None else (endpoint.host, endpoint.port)
