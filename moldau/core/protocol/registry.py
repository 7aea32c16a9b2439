"""Every API we have messages of, by key: versions and header forms, read from the declarations.

What is served is decided elsewhere (by the handlers that are registered); this table says what can be spoken.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from moldau.core.protocol.messages import (
    api_versions,
    create_topics,
    delete_topics,
    describe_configs,
    describe_groups,
    fetch,
    find_coordinator,
    heartbeat,
    init_producer_id,
    join_group,
    leave_group,
    list_groups,
    list_offsets,
    metadata,
    offset_commit,
    offset_fetch,
    offset_for_leader_epoch,
    produce,
    sync_group,
)
from moldau.core.protocol.schema import MAX_VERSION, schema_of

API_VERSIONS_KEY = 18
NEVER_FLEXIBLE = MAX_VERSION + 1


class Api(NamedTuple):
    """One API: its messages, the versions we speak, and from which version on they are flexible."""

    key: int
    name: str
    request: type[Any]
    response: type[Any]
    min_version: int
    max_version: int
    flexible_since: int
    advertised_min: int

    def speaks(self, version: int) -> bool:
        return self.min_version <= version <= self.max_version

    def flexible_request(self, version: int) -> bool:
        """Whether the header of a request of `version` has a tag section. True for what we do not speak yet, too."""
        return version >= self.flexible_since

    def flexible_response(self, version: int) -> bool:
        """Whether the header of a response has one. ApiVersions never does: its reader may not know the version."""
        return version >= self.flexible_since and self.key != API_VERSIONS_KEY


# Old librdkafka takes the absence of Produce 0 for a broker without gzip, snappy and lz4: it is advertised, not served.
_ADVERTISED_MIN = {0: 0}
# Declared, but marked unstable by Kafka 4.3.
_STABLE_MAX = {22: 5}


def _api(request: type[Any], response: type[Any]) -> Api:
    schema = schema_of(request)
    low, high = schema.versions
    return Api(
        key=schema.key,
        name=schema.name.removesuffix("Request"),
        request=request,
        response=response,
        min_version=low,
        max_version=_STABLE_MAX.get(schema.key, high),
        flexible_since=schema.flexible.low if schema.flexible.high >= schema.flexible.low else NEVER_FLEXIBLE,
        advertised_min=_ADVERTISED_MIN.get(schema.key, low),
    )


APIS: dict[int, Api] = {
    api.key: api
    for api in (
        _api(produce.ProduceRequest, produce.ProduceResponse),
        _api(fetch.FetchRequest, fetch.FetchResponse),
        _api(list_offsets.ListOffsetsRequest, list_offsets.ListOffsetsResponse),
        _api(metadata.MetadataRequest, metadata.MetadataResponse),
        _api(offset_commit.OffsetCommitRequest, offset_commit.OffsetCommitResponse),
        _api(offset_fetch.OffsetFetchRequest, offset_fetch.OffsetFetchResponse),
        _api(find_coordinator.FindCoordinatorRequest, find_coordinator.FindCoordinatorResponse),
        _api(join_group.JoinGroupRequest, join_group.JoinGroupResponse),
        _api(heartbeat.HeartbeatRequest, heartbeat.HeartbeatResponse),
        _api(leave_group.LeaveGroupRequest, leave_group.LeaveGroupResponse),
        _api(sync_group.SyncGroupRequest, sync_group.SyncGroupResponse),
        _api(describe_groups.DescribeGroupsRequest, describe_groups.DescribeGroupsResponse),
        _api(list_groups.ListGroupsRequest, list_groups.ListGroupsResponse),
        _api(api_versions.ApiVersionsRequest, api_versions.ApiVersionsResponse),
        _api(create_topics.CreateTopicsRequest, create_topics.CreateTopicsResponse),
        _api(delete_topics.DeleteTopicsRequest, delete_topics.DeleteTopicsResponse),
        _api(init_producer_id.InitProducerIdRequest, init_producer_id.InitProducerIdResponse),
        _api(offset_for_leader_epoch.OffsetForLeaderEpochRequest, offset_for_leader_epoch.OffsetForLeaderEpochResponse),
        _api(describe_configs.DescribeConfigsRequest, describe_configs.DescribeConfigsResponse),
    )
}
