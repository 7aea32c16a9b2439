"""DeleteTopics (API key 20): topics, deleted. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int16, int32, message, string, struct, uuid


@struct
class DeleteTopicState:
    name: str | None = string("6+", nullable="6+", default=None, entity="topicName")
    topic_id: bytes = uuid("6+")


@message("request", 20, "1-6", flexible="4+")
class DeleteTopicsRequest:
    """Topics by name, from version 6 also by id."""

    topics: list[DeleteTopicState] = array(DeleteTopicState, "6+")
    topic_names: list[str] = array(string(), "1-5", ignorable=True, entity="topicName")
    timeout_ms: int = int32()


@struct
class DeletableTopicResult:
    name: str | None = string(nullable="6+", entity="topicName")
    topic_id: bytes = uuid("6+", ignorable=True)
    error_code: int = int16()
    error_message: str | None = string("5+", nullable="5+", default=None, ignorable=True)


@message("response", 20, "1-6", flexible="4+")
class DeleteTopicsResponse:
    """What became of each topic."""

    throttle_time_ms: int = int32(ignorable=True)
    responses: list[DeletableTopicResult] = array(DeletableTopicResult)
