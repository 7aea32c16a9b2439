"""A handler's context over a node in memory, for handlers that ask the metadata only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from moldau.core.base.pending import Pending
from moldau.core.metadata.config_view import ConfigView
from moldau.core.server.config import BrokerConfig
from moldau.core.server.configs import options
from moldau.core.server.context import Context
from tests.support.images import registration
from tests.support.manual_log import Node


def context(node: Node, **given: str) -> Context:
    """What a handler of `node` gets; `given` are settings of the broker, '_' for '.'."""
    texts = {key.replace("_", "."): text for key, text in given.items()}
    services = SimpleNamespace(
        config=BrokerConfig(), controller=node.controller, config_view=ConfigView(1, options(), texts)
    )
    return Context(cast(Any, services), "PLAINTEXT", "127.0.0.1", ("127.0.0.1", 9092))


def started() -> Node:
    """A node that leads and is registered."""
    node = Node()
    node.controller.start(registration(directories=node.identity.directory_ids))
    node.log.sync()
    return node


def answer(node: Node, pending: Pending[Any]) -> Any:
    """What a pending answer comes to once everything is synced."""
    node.log.sync()
    assert pending.done
    return pending.value
