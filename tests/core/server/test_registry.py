"""What is registered is what is served and advertised."""

from __future__ import annotations

import pytest

from moldau.core.protocol.messages.heartbeat import HeartbeatRequest
from moldau.core.protocol.registry import APIS
from moldau.core.server.registry import Table, handles

SERVED = {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 22, 23, 32}


def test_every_api_of_this_release_has_its_handler() -> None:
    assert set(Table().apis) == SERVED


def test_every_served_version_resolves_and_no_other_does() -> None:
    table = Table()
    for key, api in table.apis.items():
        for version in range(api.min_version, api.max_version + 1):
            endpoint = table.resolve(key, version)
            assert endpoint is not None
            assert table.ready[key << 16 | version] is endpoint
        assert table.resolve(key, api.min_version - 1) is None
        assert table.resolve(key, api.max_version + 1) is None
    assert table.resolve(999, 0) is None


def test_a_second_handler_of_an_api_is_a_bug() -> None:
    Table()
    with pytest.raises(ValueError, match="two handlers"):
        handles(HeartbeatRequest)(lambda _ctx, _request, _version: None)


def test_only_api_versions_answers_with_the_oldest_header() -> None:
    table = Table()
    newest = [table.resolve(key, api.max_version) for key, api in APIS.items()]
    odd = [each.api.key for each in newest if each and each.request_flexible and not each.response_flexible]
    assert odd == [18]
