"""OffsetForLeaderEpoch v2-4: the largest epoch not above the asked one, and where it ended (KIP-320).

Deviations: none known.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

UNCHECKED = -1  # a reader that does not know the leader's epoch


@handles(OffsetForLeaderEpochRequest)
def offset_for_leader_epoch(
    ctx: Context, request: OffsetForLeaderEpochRequest, version: int
) -> OffsetForLeaderEpochResponse:
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(topic.topic, [_answer(ctx, topic.topic, part) for part in topic.partitions])
            for topic in request.topics
        ]
    )


def _answer(ctx: Context, topic: str, part: OffsetForLeaderPartition) -> EpochEndOffset:
    answer = EpochEndOffset(partition=part.partition)
    partition = ctx.replicas.get(topic, part.partition)
    if partition is None:
        answer.error_code = ctx.why_not_here(topic, part.partition)
        return answer
    epoch = part.current_leader_epoch
    if epoch not in (UNCHECKED, partition.leader_epoch):
        newer = epoch > partition.leader_epoch
        answer.error_code = ErrorCode.UNKNOWN_LEADER_EPOCH if newer else ErrorCode.FENCED_LEADER_EPOCH
        return answer
    if part.leader_epoch == partition.leader_epoch:
        # The epoch goes on: its end is where readers may be, which is the high watermark.
        answer.leader_epoch, answer.end_offset = partition.leader_epoch, partition.high_watermark
    else:
        answer.leader_epoch, answer.end_offset = partition.log.end_offset_for(part.leader_epoch, partition.leader_epoch)
    return answer
