"""CreateTopics v2-7. v4: -1/-1 for the broker's defaults (taken from v2 on, as Kafka does). v5: the settings
that the topic came to, flexible. v7: topic ids.

The answer comes when the topics are committed. Deviations: topics are answered in the order asked.
"""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.pending import Pending
from moldau.core.metadata.creation import Answers, Created, NewTopic
from moldau.core.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from moldau.core.server.context import Context
from moldau.core.server.registry import handles


@handles(CreateTopicsRequest)
def create_topics(ctx: Context, request: CreateTopicsRequest, version: int) -> Pending[CreateTopicsResponse]:
    answer: Pending[CreateTopicsResponse] = Pending()

    def decided(outcome: Answers | Refusal) -> None:
        results = [_result(ctx, name, outcome) for name in {topic.name: None for topic in request.topics}]
        answer.complete(CreateTopicsResponse(topics=results))

    wanted = [_wanted(topic) for topic in request.topics]
    ctx.controller.create_topics(wanted, validate_only=request.validate_only, timeout_ms=request.timeout_ms).then(
        decided
    )
    return answer


def _wanted(topic: CreatableTopic) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.num_partitions,
        topic.replication_factor,
        [(assignment.partition_index, assignment.broker_ids) for assignment in topic.assignments],
        [(config.name, config.value) for config in topic.configs],
    )


def _result(ctx: Context, name: str, outcome: Answers | Refusal) -> CreatableTopicResult:
    made = outcome if isinstance(outcome, Refusal) else outcome[name]
    if isinstance(made, Refusal):
        return CreatableTopicResult(name, error_code=made.code, error_message=made.message)
    return CreatableTopicResult(
        name,
        made.id,
        ErrorCode.NONE,
        None,
        num_partitions=made.num_partitions,
        replication_factor=made.replication_factor,
        configs=_settings(ctx, made),
    )


def _settings(ctx: Context, made: Created) -> list[CreatableTopicConfigs]:
    return [
        CreatableTopicConfigs(row.name, row.value, row.read_only, row.source)
        for row in ctx.config_view.topic_rows(ctx.image, made.configs)
    ]
