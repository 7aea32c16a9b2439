"""OffsetCommit v2-10: store a group's positions. Partitions that do not exist are refused one by one.

v2-4: a retention of its own. v6: leader epoch. v7: static members. v8: flexible. v9: GROUP_ID_NOT_FOUND where older
versions say ILLEGAL_GENERATION. v10: topics by id.
Deviations: none known.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.base.pending import Pending
from moldau.core.coordinators.group.asks import Commit, CommittedOffset
from moldau.core.metadata.image import TopicImage
from moldau.core.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from moldau.core.server.context import Context
from moldau.core.server.handlers._group_shared import answered
from moldau.core.server.registry import handles

Parts = list[OffsetCommitResponsePartition]


@handles(OffsetCommitRequest)
def offset_commit(
    ctx: Context, request: OffsetCommitRequest, version: int
) -> OffsetCommitResponse | Pending[OffsetCommitResponse]:
    response = OffsetCommitResponse(topics=[])
    offsets: list[CommittedOffset] = []
    parts: Parts = []  # the answer to each of `offsets`
    for topic in request.topics:
        if version >= 10:
            image = ctx.image.topics_by_id.get(topic.topic_id)
            unknown = ErrorCode.UNKNOWN_TOPIC_ID
        else:
            image = ctx.image.topics_by_name.get(topic.name)
            unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        answers = [OffsetCommitResponsePartition(part.partition_index) for part in topic.partitions]
        response.topics.append(OffsetCommitResponseTopic(topic.name, topic.topic_id, answers))
        if image is None:
            for answer in answers:
                answer.error_code = unknown
        else:
            _take_topic(topic, image, answers, offsets, parts)
    if not offsets:
        return response

    def accepted(errors: list[ErrorCode]) -> OffsetCommitResponse:
        for part, error in zip(parts, errors, strict=True):
            part.error_code = error
        return response

    def refused(error: ErrorCode) -> OffsetCommitResponse:
        return accepted([error] * len(parts))

    ask = Commit(
        group_id=request.group_id,
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        generation=request.generation_id_or_member_epoch,
        retention_ms=request.retention_time_ms,
        offsets=offsets,
        knows_group_id_not_found=version >= 9,
    )
    return answered(ctx.groups.commit(ask), accepted, refused)


def _take_topic(
    topic: OffsetCommitRequestTopic, image: TopicImage, answers: Parts, offsets: list[CommittedOffset], parts: Parts
) -> None:
    for part, answer in zip(topic.partitions, answers, strict=True):
        index = part.partition_index
        if not 0 <= index < len(image.partitions):
            answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            continue
        metadata = part.committed_metadata or ""
        offsets.append(
            CommittedOffset(image.name, image.id, index, part.committed_offset, part.committed_leader_epoch, metadata)
        )
        parts.append(answer)
