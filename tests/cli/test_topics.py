"""`moldau topic` as a command, against a cluster in memory."""

from __future__ import annotations

import json

import pytest

from moldau.cli import topics
from moldau.cli.errors import Exit
from moldau.cli.main import run
from tests.support.fake_cluster import FakeCluster, a_topic


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster({"a": a_topic("a"), "__own": a_topic("__own", internal=True)}, {("a", 1): 12})
    monkeypatch.setattr(topics, "Cluster", made)
    return made


def test_list(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topic", "list"]) == Exit.OK
    assert capsys.readouterr().out == "NAME  PARTITIONS  REPLICATION FACTOR\na              2                   2\n"
    assert run(["topic", "list", "--internal", "--output", "name"]) == Exit.OK
    assert capsys.readouterr().out == "__own\na\n"
    assert run(["topic", "list", "--output", "ndjson"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {
        "name": "a",
        "partitions": 2,
        "replication_factor": 2,
        "internal": False,
        "id": "id-of-a",
    }


def test_create(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topic", "create", "b", "c", "-p", "3", "-r", "1", "-X", "retention.ms=5"]) == Exit.OK
    assert cluster.orders == [("create", name, 3, 1, {"retention.ms": "5"}, False) for name in ("b", "c")]
    assert "b              3" in capsys.readouterr().out
    assert run(["topic", "create", "d"]) == Exit.OK
    assert cluster.orders[-1] == ("create", "d", -1, -1, {}, False)


def test_create_what_is_there(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topic", "create", "a"]) == Exit.ERROR
    assert "already exists" in capsys.readouterr().err
    assert run(["topic", "create", "a", "--if-not-exists", "--output", "name"]) == Exit.OK
    assert capsys.readouterr().out == "a\n"


def test_dry_runs_change_nothing(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topic", "create", "b", "--dry-run"]) == Exit.OK
    assert cluster.orders == [("create", "b", -1, -1, {}, True)]
    assert run(["topic", "delete", "a", "--dry-run"]) == Exit.OK
    assert set(cluster.held) == {"a", "__own"}
    assert "would delete a" in capsys.readouterr().err


def test_describe(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topic", "describe", "a"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "Topic a  id id-of-a  replication factor 2\n  retention.ms=1000\n" in shown
    assert "        1       1  1,2         1      0   12\n" in shown
    assert "segment.bytes" not in shown
    assert run(["topic", "describe", "a", "--all-configs", "--output", "json"]) == Exit.OK
    described = json.loads(capsys.readouterr().out)
    assert described["configs"] == {"retention.ms": "1000", "segment.bytes": "1073741824"}
    assert described["partitions"][1] == {
        "partition": 1,
        "leader": 1,
        "replicas": [1, 2],
        "isr": [1],
        "start": 0,
        "end": 12,
    }
    assert run(["topic", "describe", "a", "__own", "--output", "json"]) == Exit.OK
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == ["a", "__own"]


def test_delete_needs_a_yes(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topic", "delete", "a"]) == Exit.USAGE
    assert "--yes" in capsys.readouterr().err
    assert cluster.orders == []
    assert run(["topic", "delete", "a", "--yes", "--output", "name"]) == Exit.OK
    assert (cluster.orders, capsys.readouterr().out) == ([("delete", "a")], "a\n")


@pytest.mark.parametrize("command", ["describe", "delete"])
def test_what_is_not_there(command: str, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topic", command, "nope"]) == Exit.NOT_FOUND
    assert capsys.readouterr().err.startswith("error: topic nope is not there\nhint: ")


def test_delete_if_exists(cluster: FakeCluster) -> None:
    assert run(["topic", "delete", "nope", "--if-exists"]) == Exit.OK
    assert cluster.orders == []
