"""DescribeConfigs v1-4. v3: types and documentation. v4: flexible.

Topics and this broker. Null or no keys ask for all; unknown keys are left out.

Deviations: an unknown resource type fails its own entry, where Kafka fails every one of the request. Settings
that are accepted but not acted on say so in their documentation. Broker settings are all read-only: nothing
alters them yet. Broker loggers, client metrics and groups, which have no settings here, are refused.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.metadata.config_view import Row
from moldau.core.metadata.image import CLUSTER_DEFAULT, ResourceType
from moldau.core.metadata.names import topic_name_problem
from moldau.core.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from moldau.core.server.context import Context
from moldau.core.server.registry import handles


@handles(DescribeConfigsRequest)
def describe_configs(ctx: Context, request: DescribeConfigsRequest, version: int) -> DescribeConfigsResponse:
    return DescribeConfigsResponse(results=[_result(ctx, resource, request) for resource in request.resources])


def _result(ctx: Context, resource: DescribeConfigsResource, request: DescribeConfigsRequest) -> DescribeConfigsResult:
    rows = _rows(ctx, resource)
    if isinstance(rows, Refusal):
        return DescribeConfigsResult(rows.code, rows.message, resource.resource_type, resource.resource_name)
    keys = set(resource.configuration_keys or ())
    configs = [_entry(row, request) for row in rows if not keys or row.name in keys]
    return DescribeConfigsResult(ErrorCode.NONE, "", resource.resource_type, resource.resource_name, configs)


def _rows(ctx: Context, resource: DescribeConfigsResource) -> list[Row] | Refusal:
    name = resource.resource_name
    if resource.resource_type == ResourceType.TOPIC:
        problem = topic_name_problem(name)
        if problem is not None:
            return Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
        if name not in ctx.image.topics_by_name:
            return Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "")
        return ctx.config_view.topic_rows(ctx.image, ctx.image.config(ResourceType.TOPIC, name))
    if resource.resource_type == ResourceType.BROKER:
        return _broker_rows(ctx, name)
    return Refusal(ErrorCode.INVALID_REQUEST, f"Resources of type {resource.resource_type} have no settings here")


def _broker_rows(ctx: Context, name: str) -> list[Row] | Refusal:
    if name == CLUSTER_DEFAULT:
        return ctx.config_view.cluster_rows(ctx.image)
    try:
        broker_id = int(name)
    except ValueError:
        return Refusal(ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}")
    if broker_id != ctx.config.node_id:
        text = f"Unexpected broker id, expected {ctx.config.node_id} or empty string, but received {name}"
        return Refusal(ErrorCode.INVALID_REQUEST, text)
    return ctx.config_view.broker_rows(ctx.image)


def _entry(row: Row, request: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    synonyms = [DescribeConfigsSynonym(*synonym) for synonym in row.synonyms] if request.include_synonyms else []
    documentation = row.documentation if request.include_documentation else None
    return DescribeConfigsResourceResult(
        row.name, row.value, row.read_only, row.source, False, synonyms, row.type, documentation
    )
