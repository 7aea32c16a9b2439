"""FindCoordinator v0-6: which broker coordinates a group, or a transaction.

v1: key types, messages. v3: flexible. v4: several keys. v6: share partitions, which are not served.
`__consumer_offsets` is made when the first group is looked for, and the answer waits for it.

Deviations: Kafka answers 15 while it makes the topic. A transaction's coordinator is this broker, which then refuses
to give out ids for it.
"""

from __future__ import annotations

from typing import NamedTuple

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.config import OFFSETS_TOPIC
from moldau.core.protocol.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

GROUP = 0
TRANSACTION = 1
NO_NODE = -1


class Found(NamedTuple):
    """A coordinator, or why there is none."""

    error: ErrorCode
    node_id: int = NO_NODE
    host: str = ""
    port: int = -1


@handles(FindCoordinatorRequest)
def find_coordinator(
    ctx: Context, request: FindCoordinatorRequest, version: int
) -> FindCoordinatorResponse | Pending[FindCoordinatorResponse]:
    if request.key_type != GROUP or OFFSETS_TOPIC in ctx.image.topics_by_name:
        return _response(ctx, request, version)
    response: Pending[FindCoordinatorResponse] = Pending()
    ctx.controller.ensure_topic(OFFSETS_TOPIC).then(lambda _made: response.complete(_response(ctx, request, version)))
    return response


def _response(ctx: Context, request: FindCoordinatorRequest, version: int) -> FindCoordinatorResponse:
    if version >= 4:
        return FindCoordinatorResponse(
            coordinators=[_coordinator(key, _find(ctx, request.key_type, key)) for key in request.coordinator_keys]
        )
    found = _find(ctx, request.key_type, request.key)
    return FindCoordinatorResponse(
        error_code=found.error,
        error_message=found.error.name,  # "NONE" where all is well: Kafka says so, too
        node_id=found.node_id,
        host=found.host,
        port=found.port,
    )


def _coordinator(key: str, found: Found) -> Coordinator:
    return Coordinator(key, found.node_id, found.host, found.port, found.error, "")


def _find(ctx: Context, key_type: int, key: str) -> Found:
    if key_type == TRANSACTION:
        return _node(ctx, ctx.config.node_id)
    if key_type != GROUP:
        return Found(ErrorCode.INVALID_REQUEST)
    topic = ctx.image.topics_by_name.get(OFFSETS_TOPIC)
    index = ctx.groups.partition_for(key)
    if topic is None or index >= len(topic.partitions):
        return Found(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return _node(ctx, topic.partitions[index].leader)


def _node(ctx: Context, node_id: int) -> Found:
    if node_id == ctx.config.node_id:
        return Found(ErrorCode.NONE, node_id, *ctx.advertised_host())
    broker = ctx.image.brokers.get(node_id)
    endpoint = None if broker is None else broker.endpoints.get(ctx.listener_name)
    if endpoint is None:
        return Found(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return Found(ErrorCode.NONE, node_id, endpoint.host, endpoint.port)
