"""`moldau group` as a command, against a cluster in memory."""

from __future__ import annotations

import json

import pytest

from moldau.cli import groups
from moldau.cli.errors import Exit
from moldau.cli.groups import lag
from moldau.cli.main import run
from tests.support.fake_cluster import FakeCluster


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster(ends={("a", 0): 10, ("a", 1): 5, ("b", 0): 3})
    monkeypatch.setattr(groups, "Cluster", made)
    return made


def test_list(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["group", "list"]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[1] == "billing  stable  classic"


def test_describe_shows_members_offsets_and_lag(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["group", "describe", "billing"]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Group billing  stable  classic  assignor range  coordinator 1  lag 3"
    assert lines[2:6] == [
        "TOPIC  PARTITION  COMMITTED  END  LAG  MEMBER",
        "a              0          7   10    3  m-1",
        "a              1          -    5    -  m-1",
        "b              0          3    3    0  -",
    ]
    assert lines[-1] == "m-1     client     /127.0.0.1  a-0,a-1"


def test_describe_as_json(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["group", "describe", "billing", "--output", "json"]) == Exit.OK
    item = json.loads(capsys.readouterr().out)
    assert (item["name"], item["state"], item["lag"]) == ("billing", "stable", 3)
    assert item["offsets"][1] == {
        "topic": "a",
        "partition": 1,
        "committed": None,
        "end": 5,
        "lag": None,
        "member": "m-1",
    }
    assert item["members"][0]["assignment"] == ["a-0", "a-1"]


def test_what_is_not_there(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["group", "describe", "nope"]) == Exit.NOT_FOUND
    assert "group nope is not there" in capsys.readouterr().err


@pytest.mark.parametrize(("committed", "end", "behind"), [(3, 10, 7), (10, 3, 0), (None, 3, None), (3, None, None)])
def test_lag(committed: int | None, end: int | None, behind: int | None) -> None:
    assert lag(committed, end) == behind
