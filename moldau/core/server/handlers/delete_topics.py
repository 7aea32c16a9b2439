"""DeleteTopics v1-6. v4: flexible. v5: error messages. v6: topics by id.

The answer comes when the deletion is committed; the files go after it. Deviations: none.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.pending import Pending
from moldau.core.metadata.topics import Deletion, DoomedTopic
from moldau.core.protocol.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

IDS_SINCE = 6


@handles(DeleteTopicsRequest)
def delete_topics(ctx: Context, request: DeleteTopicsRequest, version: int) -> Pending[DeleteTopicsResponse]:
    answer: Pending[DeleteTopicsResponse] = Pending()
    if version < IDS_SINCE:
        doomed = [DoomedTopic(name) for name in request.topic_names]
    else:
        doomed = [DoomedTopic(topic.name, topic.topic_id) for topic in request.topics]

    def decided(outcome: list[Deletion] | Refusal) -> None:
        if isinstance(outcome, Refusal):
            outcome = [Deletion(each.name, each.id, outcome) for each in dict.fromkeys(doomed)]
        answer.complete(DeleteTopicsResponse(responses=[_result(deletion) for deletion in outcome]))

    ctx.controller.delete_topics(doomed, timeout_ms=request.timeout_ms).then(decided)
    return answer


def _result(deletion: Deletion) -> DeletableTopicResult:
    refusal = deletion.refusal
    if refusal is None:
        return DeletableTopicResult(deletion.name, deletion.id, ErrorCode.NONE)
    return DeletableTopicResult(deletion.name, deletion.id, refusal.code, refusal.message)
