"""The table of APIs says what Apache Kafka 4.3 says."""

from __future__ import annotations

import pytest

from moldau.core.protocol.registry import APIS

# key: name, versions spoken, first flexible version, as Apache Kafka 4.3 advertises them on a broker's listener.
KAFKA = {
    0: ("Produce", 3, 13, 9),
    1: ("Fetch", 4, 18, 12),
    2: ("ListOffsets", 1, 11, 6),
    3: ("Metadata", 0, 13, 9),
    8: ("OffsetCommit", 2, 10, 8),
    9: ("OffsetFetch", 1, 10, 6),
    10: ("FindCoordinator", 0, 6, 3),
    11: ("JoinGroup", 0, 9, 6),
    12: ("Heartbeat", 0, 4, 4),
    13: ("LeaveGroup", 0, 5, 4),
    14: ("SyncGroup", 0, 5, 4),
    15: ("DescribeGroups", 0, 6, 5),
    16: ("ListGroups", 0, 5, 3),
    18: ("ApiVersions", 0, 4, 3),
    19: ("CreateTopics", 2, 7, 5),
    20: ("DeleteTopics", 1, 6, 4),
    22: ("InitProducerId", 0, 5, 2),
    23: ("OffsetForLeaderEpoch", 2, 4, 4),
    32: ("DescribeConfigs", 1, 4, 4),
}


def test_versions_are_kafkas() -> None:
    ours = {key: (api.name, api.min_version, api.max_version, api.flexible_since) for key, api in APIS.items()}
    assert ours == KAFKA
    assert all(api.key == key for key, api in APIS.items())


def test_only_produce_advertises_more_than_it_speaks() -> None:
    more = {api.name: api.advertised_min for api in APIS.values() if api.advertised_min != api.min_version}
    assert more == {"Produce": 0}


def test_an_api_speaks_its_range() -> None:
    assert [APIS[0].speaks(version) for version in (-1, 2, 3, 13, 14)] == [False, False, True, True, False]


@pytest.mark.parametrize("key", KAFKA)
def test_headers_are_flexible_with_the_body_except_the_answer_to_api_versions(key: int) -> None:
    api = APIS[key]
    first = KAFKA[key][3]
    assert [api.flexible_request(first - 1), api.flexible_request(first)] == [False, True]
    assert [api.flexible_response(first - 1), api.flexible_response(first)] == [False, key != 18]
    assert api.flexible_request(99)
