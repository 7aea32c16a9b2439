"""OffsetFetch v1-10: read a group's positions; -1 where there is none, also for groups and topics nobody knows.

v2: null topics mean all, an error of its own beside the partitions'. v5: leader epoch. v6: flexible. v7: an open
transaction's partitions may be refused. v8: several groups. v9: member id and epoch, which classic groups ignore.
v10: topics by id.
Deviations: none known.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.ids import ZERO_UUID
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.asks import FetchedOffset, FetchedTopic, WantedOffsets
from moldau.core.coordinators.waiting import gathered, mapped
from moldau.core.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from moldau.core.server.context import Context
from moldau.core.server.handlers._group_shared import answered
from moldau.core.server.registry import handles


@handles(OffsetFetchRequest)
def offset_fetch(
    ctx: Context, request: OffsetFetchRequest, version: int
) -> OffsetFetchResponse | Pending[OffsetFetchResponse]:
    if version < 8:
        return _fetch_one(ctx, request, version)
    groups = gathered([_fetch_group(ctx, group, version, request.require_stable) for group in request.groups])
    return mapped(groups, lambda answers: OffsetFetchResponse(groups=answers))


# One group, to v7


def _fetch_one(
    ctx: Context, request: OffsetFetchRequest, version: int
) -> OffsetFetchResponse | Pending[OffsetFetchResponse]:
    wanted = None
    if request.topics is not None:
        wanted = [_wanted(ctx, topic.name, topic.partition_indexes) for topic in request.topics]

    def accepted(topics: list[FetchedTopic]) -> OffsetFetchResponse:
        return OffsetFetchResponse(topics=[_topic(topic) for topic in topics])

    def refused(error: ErrorCode) -> OffsetFetchResponse:
        if version >= 2:
            return OffsetFetchResponse(error_code=error)
        return accepted([_refused_topic(topic, error) for topic in wanted or []])

    answer = ctx.groups.fetch(request.group_id, wanted, require_stable=request.require_stable)
    return answered(answer, accepted, refused)


def _topic(topic: FetchedTopic) -> OffsetFetchResponseTopic:
    partitions = [OffsetFetchResponsePartition(*part) for part in topic.partitions]
    return OffsetFetchResponseTopic(topic.topic, partitions)


# Several groups, from v8


def _fetch_group(
    ctx: Context, group: OffsetFetchRequestGroup, version: int, require_stable: bool
) -> OffsetFetchResponseGroup | Pending[OffsetFetchResponseGroup]:
    wanted: list[WantedOffsets] | None = None
    unknown: list[FetchedTopic] = []
    if group.topics is not None:
        wanted = []
        for topic in group.topics:
            if version < 10:
                wanted.append(_wanted(ctx, topic.name, topic.partition_indexes))
                continue
            image = ctx.image.topics_by_id.get(topic.topic_id)
            ask = WantedOffsets("" if image is None else image.name, topic.topic_id, topic.partition_indexes)
            if image is None:
                unknown.append(_refused_topic(ask, ErrorCode.UNKNOWN_TOPIC_ID))
            else:
                wanted.append(ask)

    def accepted(topics: list[FetchedTopic]) -> OffsetFetchResponseGroup:
        if version >= 10 and wanted is None:
            topics = _with_ids(ctx, topics)
        return OffsetFetchResponseGroup(group.group_id, [_topic_v8(topic) for topic in [*topics, *unknown]])

    def refused(error: ErrorCode) -> OffsetFetchResponseGroup:
        return OffsetFetchResponseGroup(group.group_id, error_code=error)

    return answered(ctx.groups.fetch(group.group_id, wanted, require_stable=require_stable), accepted, refused)


def _with_ids(ctx: Context, topics: list[FetchedTopic]) -> list[FetchedTopic]:
    """Positions in topics that are gone have no id to be told by."""
    named = [(topic, ctx.image.topics_by_name.get(topic.topic)) for topic in topics]
    return [topic._replace(topic_id=image.id) for topic, image in named if image is not None]


def _topic_v8(topic: FetchedTopic) -> OffsetFetchResponseTopics:
    partitions = [OffsetFetchResponsePartitions(*part) for part in topic.partitions]
    return OffsetFetchResponseTopics(topic.topic, topic.topic_id, partitions)


# Both


def _wanted(ctx: Context, name: str, partitions: list[int]) -> WantedOffsets:
    image = ctx.image.topics_by_name.get(name)
    return WantedOffsets(name, ZERO_UUID if image is None else image.id, partitions)


def _refused_topic(topic: WantedOffsets, error: ErrorCode) -> FetchedTopic:
    partitions = tuple(FetchedOffset(partition, error=error) for partition in topic.partitions)
    return FetchedTopic(topic.topic, topic.topic_id, partitions)
