"""Metadata v0-13. v4: auto-creation is the client's choice. v9: flexible. v10: topic ids. v12: asking by id.

Auto-creation waits for its commit and answers the real topic (Kafka answers 3 first and clients ask again).
Answers are cached encoded by image, version, address and question: a thousand clients that reconnect at once
must not stall the loop.

Deviations: auto-creation as above.
"""

from __future__ import annotations

from itertools import islice

from moldau.core.base.errors import ErrorCode
from moldau.core.base.ids import ZERO_UUID
from moldau.core.base.options import KIB, MIB
from moldau.core.base.pending import Pending
from moldau.core.metadata.image import ClusterImage, TopicImage
from moldau.core.metadata.names import CONSUMER_OFFSETS, INTERNAL_TOPICS, topic_name_problem
from moldau.core.protocol import codec
from moldau.core.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

TOPIC_OPERATIONS = 3576  # without an authorizer: all that a topic has (a bit per Kafka's AclOperation code)
CLUSTER_OPERATIONS = 8096
ASKED_BY_ID_SINCE = 12
WHOLE_ERROR_SINCE = 13
WEIGHT_EACH = 300  # bytes of memory that one topic of a request takes
CREATED_MAX = 1000  # topics made for one request: the rest is answered as unknown, and clients ask again
# Topics of things that are not served yet: nothing of ours would know how they are to be made.
NOT_SERVED = INTERNAL_TOPICS - {CONSUMER_OFFSETS}

# Strangers must not fill the memory with answers to questions nobody asks twice.
CACHE_MAX = 64
CACHE_BYTES_MAX = 32 * MIB
CACHED_TOPICS_MAX = 100
CACHED_BYTES_MAX = 128 * KIB


@handles(MetadataRequest)
def metadata(
    ctx: Context, request: MetadataRequest, version: int
) -> bytes | MetadataResponse | Pending[bytes | MetadataResponse]:
    topics = request.topics
    if topics is not None and any(topic.topic_id != ZERO_UUID or topic.name is None for topic in topics):
        refused = _refuse_ids(topics, version)
        if refused is not None:
            return refused
    missing = _to_create(ctx, request)
    if not missing:
        return _answer(ctx, request, version)
    pending: Pending[bytes | MetadataResponse] = Pending()
    pending.weight += WEIGHT_EACH * len(request.topics or ())
    ctx.controller.ensure_topics(missing).then(lambda _outcome: pending.complete(_answer(ctx, request, version)))
    return pending


def _refuse_ids(topics: list[MetadataRequestTopic], version: int) -> MetadataResponse | None:
    """Before v12 a topic has no id to ask by, and in no version neither id nor name."""
    if version < ASKED_BY_ID_SINCE:
        code = ErrorCode.INVALID_REQUEST
    elif any(topic.topic_id == ZERO_UUID and topic.name is None for topic in topics):
        code = ErrorCode.UNKNOWN_SERVER_ERROR
    else:
        return None
    answers = [MetadataResponseTopic(code, topic.name or "", topic.topic_id) for topic in topics]
    response = MetadataResponse(topics=answers)
    if version >= WHOLE_ERROR_SINCE:
        response.error_code = code
    return response


def _to_create(ctx: Context, request: MetadataRequest) -> list[str]:
    """The asked names that do not exist, may exist, and are to be made."""
    if not request.topics or not request.allow_auto_topic_creation or not ctx.config.auto_create_topics_enable:
        return []
    known = ctx.image.topics_by_name
    names = {topic.name: None for topic in request.topics if topic.name and topic.topic_id == ZERO_UUID}
    made = (name for name in names if name not in known and name not in NOT_SERVED and topic_name_problem(name) is None)
    return list(islice(made, CREATED_MAX))


def _answer(ctx: Context, request: MetadataRequest, version: int) -> bytes:
    image = ctx.image
    cache = ctx.services.metadata_cache
    topics = request.topics
    asks_for_all = topics is None or (version == 0 and not topics)
    operations = (request.include_cluster_authorized_operations, request.include_topic_authorized_operations)
    question = None if asks_for_all or topics is None else tuple((topic.name, topic.topic_id) for topic in topics)
    key = (image.offset, version, ctx.advertised_host(), operations, question)
    encoded = cache.get(key)
    if encoded is None:
        response = _build(ctx, image, request, asks_for_all=asks_for_all)
        encoded = codec.encoder(MetadataResponse, version)(response)
        if asks_for_all or (len(topics or ()) <= CACHED_TOPICS_MAX and len(encoded) <= CACHED_BYTES_MAX):
            if len(cache) >= CACHE_MAX or sum(map(len, cache.values())) > CACHE_BYTES_MAX:
                cache.clear()
            cache[key] = encoded
    return encoded


def _build(ctx: Context, image: ClusterImage, request: MetadataRequest, *, asks_for_all: bool) -> MetadataResponse:
    host, port = ctx.advertised_host()
    brokers = [MetadataResponseBroker(ctx.config.node_id, host, port)]
    operations = TOPIC_OPERATIONS if request.include_topic_authorized_operations else -(1 << 31)
    if asks_for_all:
        topics = [_topic(topic, operations) for _, topic in sorted(image.topics_by_name.items())]
    else:
        topics = _asked(image, request.topics or [], operations)
    response = MetadataResponse(0, brokers, image.cluster_id, ctx.config.node_id, topics)
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    return response


def _asked(image: ClusterImage, asked: list[MetadataRequestTopic], operations: int) -> list[MetadataResponseTopic]:
    """Each asked topic once. One entry with an id drops all that have only a name, as in Kafka."""
    by_id = any(topic.topic_id != ZERO_UUID for topic in asked)
    answers: dict[object, MetadataResponseTopic] = {}
    for topic in asked:
        if by_id and topic.topic_id == ZERO_UUID:
            continue
        key: object = topic.topic_id if by_id else topic.name
        if key in answers:
            continue
        found = image.topics_by_id.get(topic.topic_id) if by_id else image.topics_by_name.get(topic.name or "")
        if found is not None:
            answers[key] = _topic(found, operations)
        elif by_id:
            answers[key] = MetadataResponseTopic(ErrorCode.UNKNOWN_TOPIC_ID, None, topic.topic_id)
        else:
            name = topic.name or ""
            bad = topic_name_problem(name) is not None
            code = ErrorCode.INVALID_TOPIC_EXCEPTION if bad else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            answers[key] = MetadataResponseTopic(
                code, name, is_internal=name in INTERNAL_TOPICS, topic_authorized_operations=operations
            )
    return list(answers.values())


def _topic(topic: TopicImage, operations: int) -> MetadataResponseTopic:
    partitions = [
        MetadataResponsePartition(
            ErrorCode.NONE if state.leader >= 0 else ErrorCode.LEADER_NOT_AVAILABLE,
            index,
            state.leader,
            state.leader_epoch,
            list(state.replicas),
            list(state.isr),
        )
        for index, state in enumerate(topic.partitions)
    ]
    return MetadataResponseTopic(
        ErrorCode.NONE, topic.name, topic.id, topic.name in INTERNAL_TOPICS, partitions, operations
    )
