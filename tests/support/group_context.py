"""Handlers of groups over a coordinator in memory; questions and answers go through the codec of their version."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from moldau.core.base.pending import Pending
from moldau.core.metadata.creation import NewTopic
from moldau.core.metadata.image import ClusterImage
from moldau.core.protocol import codec
from moldau.core.server.config import BrokerConfig
from moldau.core.server.context import Context
from tests.support.groups import Groups
from tests.support.images import with_topics

R = TypeVar("R")


class Broker:
    """What handlers of groups see of a broker."""

    def __init__(self, groups: Groups | None = None, image: ClusterImage | None = None) -> None:
        self.groups = groups or Groups()
        self.controller = SimpleNamespace(image=image or with_topics(NewTopic("t", 2, 1), NewTopic("u", 1, 1)))
        services = SimpleNamespace(
            config=BrokerConfig(), groups=self.groups.coordinator, controller=self.controller, advertised={}
        )
        self.context = Context(cast(Any, services), "PLAINTEXT", "127.0.0.1", ("10.0.0.1", 9092))
        self.context.client_id = "client"

    def topic_id(self, name: str) -> bytes:
        topic_id: bytes = self.controller.image.topics_by_name[name].id
        return topic_id

    def ask(self, handler: Callable[..., Any], request: Any, version: int) -> Any:
        """The answer as a client of `version` reads it, or a `Pending` of it."""
        given = handler(self.context, through(request, version), version)
        if not isinstance(given, Pending):
            return through(given, version)
        later: Pending[Any] = Pending()
        given.then(lambda answer: later.complete(through(answer, version)))
        return later.value if later.done else later


def through(message: R, version: int) -> R:
    """A message as the other side of the wire has it."""
    encoded = codec.encoder(type(message), version)(message)
    decoded, end = codec.decoder(type(message), version)(encoded, 0, len(encoded))
    assert end == len(encoded)
    return decoded
