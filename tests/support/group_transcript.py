"""One story of groups, told to a broker in raw requests; what it answers, made comparable between brokers.

Ids that a broker makes up (member ids, topic ids) become numbers in the order they first appear.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from moldau.core.base.ids import ZERO_UUID
from moldau.core.protocol.messages.describe_groups import DescribeGroupsRequest, DescribeGroupsResponse
from moldau.core.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from moldau.core.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from moldau.core.protocol.messages.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)
from moldau.core.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from moldau.core.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from moldau.core.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from moldau.core.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from moldau.core.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse
from tests.support.wire import Wire

RANGE = (("range", b"\0\0\0\0\0\1\0\1t\xff\xff\xff\xff"),)
STICKY = (("sticky", b"\0\0\0\0\0\0\xff\xff\xff\xff"),)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NOT_YET = 15
PATIENCE_S = 30.0


class Teller:
    """Asks one broker, and writes down what it says."""

    def __init__(self, host: str, port: int, topic: str, topic_id: bytes) -> None:
        self._address = (host, port)
        self._stack = ExitStack()
        self.topic = topic
        self.topic_id = topic_id
        self.transcript: list[tuple[str, Any]] = []
        self._names: dict[str, str] = {}
        self.wire = self.connect()

    def connect(self) -> Wire:
        return self._stack.enter_context(Wire(*self._address))

    def close(self) -> None:
        self._stack.close()

    def note(self, label: str, answer: Any) -> None:
        self.transcript.append((label, self._plain(answer)))

    def _plain(self, value: Any) -> Any:
        if hasattr(type(value), "__slots__"):
            return {name: self._plain(getattr(value, name)) for name in type(value).__slots__}
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if isinstance(value, str):
            return UUID.sub(lambda found: self._names.setdefault(found[0], f"<{len(self._names) + 1}>"), value)
        if value == self.topic_id:
            return "<topic id>"
        return value

    def _in_order(self, values: list[Any], field: str) -> None:
        """Sort what a broker may list in any order, by what the transcript shows."""
        values.sort(key=lambda value: str(self._plain(getattr(value, field))))

    def call(self, label: str, request: Any, response: Callable[..., Any], version: int) -> Any:
        answer = self.wire.call(request, response, version)  # type: ignore[arg-type]
        self.note(f"{label} v{version}", answer)
        return answer

    # Questions

    def find(self, version: int, *keys: str, key_type: int = 0) -> None:
        request = FindCoordinatorRequest(key_type=key_type if version else 0)
        if version >= 4:
            request.coordinator_keys = list(keys)
        else:
            request.key = keys[0]
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self.wire.call(request, FindCoordinatorResponse, version)
            if NOT_YET not in (answer.error_code, *(found.error_code for found in answer.coordinators)):
                break
            assert time.monotonic() < deadline, "no coordinator"
            time.sleep(0.05)
        told: list[Any] = [answer, *answer.coordinators]
        for found in told:
            found.port = 0 if found.port > 0 else found.port
        self.note(f"find {key_type} v{version}", answer)

    def wait_for_all_shards(self) -> None:
        """Until every partition of the offsets topic is served: ids enough to fall on all of them."""
        request = DescribeGroupsRequest([f"probe-{number}" for number in range(500)])
        deadline = time.monotonic() + PATIENCE_S
        while any(group.error_code for group in self.wire.call(request, DescribeGroupsResponse, 5).groups):
            assert time.monotonic() < deadline, "not all shards are served"
            time.sleep(0.1)

    def join_request(self, group: str, member: str = "", **how: Any) -> JoinGroupRequest:
        return JoinGroupRequest(
            group_id=group,
            session_timeout_ms=how.get("session", 30_000),
            rebalance_timeout_ms=how.get("rebalance", 30_000),
            member_id=member,
            group_instance_id=how.get("instance"),
            protocol_type=how.get("kind", "consumer"),
            protocols=[JoinGroupRequestProtocol(*protocol) for protocol in how.get("protocols", RANGE)],
        )

    def join(self, version: int, group: str, member: str = "", **how: Any) -> JoinGroupResponse:
        answer = self.wire.call(self.join_request(group, member, **how), JoinGroupResponse, version)
        self._plain(answer.member_id)  # counted before the list of members, whose order is the broker's
        self._in_order(answer.members, "member_id")
        self.note(f"join v{version}", answer)
        return answer

    def waiting_join(self, version: int, group: str, member: str, **how: Any) -> Callable[[], JoinGroupResponse]:
        """A join on a connection of its own; call the result for its answer."""
        wire = self.connect()
        sent = wire.send(self.join_request(group, member, **how), version)

        def answer() -> JoinGroupResponse:
            joined = wire.receive(sent, JoinGroupResponse, version)
            self.note(f"waiting join v{version}", joined)
            return joined

        return answer

    def enter(self, version: int, group: str, **how: Any) -> JoinGroupResponse:
        """A member's way in: twice from version 4 on."""
        answer = self.join(version, group, **how)
        return self.join(version, group, answer.member_id, **how) if answer.error_code == 79 else answer

    def sync(self, version: int, group: str, generation: int, member: str, **how: Any) -> SyncGroupResponse:
        request = SyncGroupRequest(
            group_id=group,
            generation_id=generation,
            member_id=member,
            group_instance_id=how.get("instance"),
            protocol_type=how.get("kind", "consumer") if version >= 5 else None,
            protocol_name=how.get("protocol", "range") if version >= 5 else None,
            assignments=[SyncGroupRequestAssignment(*each) for each in how.get("assignments", {}).items()],
        )
        answer: SyncGroupResponse = self.call("sync", request, SyncGroupResponse, version)
        return answer

    def beat(self, version: int, group: str, generation: int, member: str, instance: str | None = None) -> None:
        self.call("beat", HeartbeatRequest(group, generation, member, instance), HeartbeatResponse, version)

    def leave(self, version: int, group: str, *members: tuple[str, str | None]) -> None:
        if version >= 3:
            request = LeaveGroupRequest(group, members=[MemberIdentity(*each) for each in members])
        else:
            request = LeaveGroupRequest(group, members[0][0])
        self.call("leave", request, LeaveGroupResponse, version)

    def commit(self, version: int, group: str, *parts: tuple[str, int, int, str | None], **who: Any) -> None:
        """`parts`: topic, partition, offset, metadata. By id where the version wants it; unknown names get no id."""
        topics: dict[str, list[OffsetCommitRequestPartition]] = {}
        for topic, partition, offset, metadata in parts:
            epoch = 3 if version >= 6 else -1
            topics.setdefault(topic, []).append(OffsetCommitRequestPartition(partition, offset, epoch, metadata))
        request = OffsetCommitRequest(
            group_id=group,
            generation_id_or_member_epoch=who.get("generation", -1),
            member_id=who.get("member", ""),
            group_instance_id=who.get("instance"),
            topics=[
                OffsetCommitRequestTopic(
                    "" if version >= 10 else topic, self._id(topic) if version >= 10 else ZERO_UUID, partitions
                )
                for topic, partitions in topics.items()
            ],
        )
        answer = self.wire.call(request, OffsetCommitResponse, version)
        for told in answer.topics:
            self._in_order(told.partitions, "partition_index")
        self._in_order(answer.topics, "name" if version < 10 else "topic_id")
        self.note(f"commit v{version}", answer)

    def fetch(self, version: int, group: str, topics: dict[str, list[int]] | None) -> None:
        request = OffsetFetchRequest()
        if version < 8:
            request.group_id = group
            request.topics = None if topics is None else [OffsetFetchRequestTopic(*each) for each in topics.items()]
        else:
            wanted = None
            if topics is not None:
                wanted = [
                    OffsetFetchRequestTopics(
                        "" if version >= 10 else topic, self._id(topic) if version >= 10 else ZERO_UUID, partitions
                    )
                    for topic, partitions in topics.items()
                ]
            request.groups = [OffsetFetchRequestGroup(group, topics=wanted)]
        answer = self.wire.call(request, OffsetFetchResponse, version)
        topics_told: list[Any] = [*answer.topics, *(topic for each in answer.groups for topic in each.topics)]
        for topic in topics_told:
            self._in_order(topic.partitions, "partition_index")
        self.note(f"fetch v{version}", answer)

    def describe(self, version: int, *groups: str, operations: bool = False) -> None:
        request = DescribeGroupsRequest(list(groups), operations)
        answer = self.wire.call(request, DescribeGroupsResponse, version)
        self._in_order(answer.groups, "group_id")
        for group in answer.groups:
            self._in_order(group.members, "member_id")
        self.note(f"describe v{version}", answer)

    def list(self, version: int, states: Any = (), types: Any = ()) -> None:
        answer = self.wire.call(ListGroupsRequest([*states], [*types]), ListGroupsResponse, version)
        self._in_order(answer.groups, "group_id")
        self.note(f"list v{version}", answer)

    def _id(self, topic: str) -> bytes:
        return self.topic_id if topic == self.topic else b"?" * 16
