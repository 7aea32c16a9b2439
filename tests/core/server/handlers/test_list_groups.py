"""ListGroups on the wire's side."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode
from moldau.core.protocol.messages.list_groups import ListGroupsRequest
from moldau.core.server.handlers.list_groups import list_groups
from tests.support.group_context import Broker
from tests.support.groups import Groups


def made() -> Broker:
    broker = Broker(Groups(partitions=3))
    broker.groups.stable(1)
    broker.groups.commit(1, group="simple")
    return broker


@pytest.mark.parametrize("version", range(6))
def test_all_groups_of_all_shards(version: int) -> None:
    answer = made().ask(list_groups, ListGroupsRequest(), version)
    listed = sorted((g.group_id, g.protocol_type, g.group_state, g.group_type) for g in answer.groups)
    states = ("Stable", "Empty") if version >= 4 else ("", "")
    kind = "classic" if version >= 5 else ""
    assert listed == [("g", "consumer", states[0], kind), ("simple", "", states[1], kind)]


@pytest.mark.parametrize(
    ("states", "types", "names"),
    [
        (["stable"], [], ["g"]),
        (["Empty", "STABLE"], [], ["g", "simple"]),
        (["Dead"], [], []),
        ([], ["Classic"], ["g", "simple"]),
        ([], ["consumer"], []),
        (["Empty"], ["consumer", "classic"], ["simple"]),
    ],
)
def test_filters(states: list[str], types: list[str], names: list[str]) -> None:
    answer = made().ask(list_groups, ListGroupsRequest(states, types), 5)
    assert sorted(group.group_id for group in answer.groups) == names


def test_while_a_shard_is_loaded_the_list_is_not_known() -> None:
    broker = Broker(Groups(commits_by_itself=False))
    broker.groups.commit(1)
    broker.groups.coordinator.on_partition_led(0, broker.groups.log)
    answer = broker.ask(list_groups, ListGroupsRequest(), 5)
    assert (answer.error_code, answer.groups) == (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, [])
