"""`moldau quickstart` as a command: what it follows, what it sums up, how it exits. Broker and topic are in memory."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from moldau.cli import child, pipeline, quickstart
from moldau.cli.errors import Exit
from moldau.cli.main import run
from moldau.client import config
from moldau.client.admin import Key
from tests.support.fake_client import FakeTopic, fake_connection
from tests.support.fake_cluster import FakeCluster


class FakeBroker:
    """A broker that is always there."""

    def __init__(self, data_dir: Path) -> None:
        self.address = "127.0.0.1:9"
        self.moved = True
        self.stopped = False
        self.log_path = data_dir / child.LOG_NAME
        self.log_path.write_text("2026-11-24 14:49:08,000 INFO broker: hello\n")

    def check(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[FakeBroker]:
    topic = FakeTopic("logs", {number: [] for number in range(pipeline.PARTITIONS)})

    class TopicCluster(FakeCluster):
        def offsets(self, partitions: Iterable[Key], *, latest: bool) -> dict[Key, int]:
            return {key: topic.bounds(key[1])[latest] for key in partitions}

    made: list[FakeBroker] = []

    def start(data_dir: Path) -> FakeBroker:
        data_dir.mkdir(parents=True, exist_ok=True)
        made.append(FakeBroker(data_dir))
        return made[-1]

    connection = fake_connection(topic)
    monkeypatch.setattr(pipeline, "Cluster", TopicCluster())
    monkeypatch.setattr(pipeline, "_POLL_S", 0.001)
    monkeypatch.setattr(child.BrokerChild, "start", start)
    monkeypatch.setattr(config.Connection, "build", lambda *_args, **_kwargs: connection)
    monkeypatch.setattr(quickstart, "DEFAULT_FOLDER", str(tmp_path / "var-log"))
    return made


def once(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["quickstart", "--once", "--output", "json", *arguments]) == Exit.OK
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    return summary


def test_only_the_given_paths(brokers: list[FakeBroker], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, folder = tmp_path / "a.log", tmp_path / "folder"
    folder.mkdir()
    log.write_text("ERROR one\ntwo\n")
    (folder / "b.log").write_text("three\n")
    (folder / "c.gz").write_text("x")
    summary = once(capsys, "--data-dir", str(tmp_path / "data"), str(log), str(folder))
    assert (summary["topic"], summary["lines_read"], summary["lines_counted"]) == ("logs", 3, 3)
    assert summary["sources"] == {
        str(log): {"read": 2, "counted": 2, "severities": {"error": 1, "plain": 1}},
        str(folder / "b.log"): {"read": 1, "counted": 1, "severities": {"plain": 1}},
    }
    assert summary["left_out"] == {str(folder / "c.gz"): "compressed"}
    assert summary["bootstrap"] == "127.0.0.1:9"
    assert brokers[0].stopped


def test_a_second_run_goes_on(brokers: list[FakeBroker], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\n")
    arguments = ("--data-dir", str(tmp_path / "data"), str(log))
    assert once(capsys, *arguments)["lines_read"] == 2
    assert once(capsys, *arguments)["lines_read"] == 0
    with log.open("a") as file:
        file.write("three\n")
    summary = once(capsys, *arguments)
    assert (summary["lines_read"], summary["lines_counted"]) == (1, 1)


def test_without_paths_the_log_folder_and_the_brokers_own_log(
    brokers: list[FakeBroker], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "var-log").mkdir()
    (tmp_path / "var-log" / "syslog").write_text("x\n")
    summary = once(capsys, "--data-dir", str(tmp_path / "data"))
    assert set(summary["sources"]) == {str(tmp_path / "var-log" / "syslog"), str(tmp_path / "data" / child.LOG_NAME)}


def test_the_sum_in_words(brokers: list[FakeBroker], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    log.write_text("ERROR one\ntwo\n")
    assert run(["quickstart", "--data-dir", str(tmp_path / "data"), str(log)]) == Exit.OK
    shown = capsys.readouterr()
    assert "2 lines read, 2 counted" in shown.out
    assert "ERROR  PLAIN" in shown.out
    assert "Port 9092 is taken: the broker is at 127.0.0.1:9." in shown.err
    assert f"moldau serve --data-dir {tmp_path / 'data'}" in shown.err


def test_another_kafka_needs_no_broker_of_ours(
    brokers: list[FakeBroker], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    assert once(capsys, "-b", "kafka:1", "--data-dir", str(tmp_path / "data"), str(log))["bootstrap"] == "kafka:1"
    assert brokers == []


def test_lines_that_are_not_counted_fail_it(
    brokers: list[FakeBroker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    monkeypatch.setattr(pipeline, "_STALLED_S", 0.0)
    monkeypatch.setattr(pipeline.Pipeline, "start", lambda _self: None)
    assert run(["quickstart", "--once", "--data-dir", str(tmp_path / "data"), str(log)]) == Exit.CHECK_FAILED
    assert brokers[0].stopped


def test_a_path_that_is_not_there_is_wrong_usage(brokers: list[FakeBroker], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quickstart", "/no/such/file"]) == Exit.USAGE
    assert "/no/such/file" in capsys.readouterr().err
    assert brokers == []


def test_sigterm_ends_it_in_order(brokers: list[FakeBroker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")

    def interrupt(_self: pipeline.Pipeline) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(pipeline.Pipeline, "serve", interrupt)
    before = signal.getsignal(signal.SIGTERM)
    assert run(["quickstart", "--once", "--data-dir", str(tmp_path / "data"), str(log)]) == Exit.INTERRUPTED
    assert brokers[0].stopped
    assert (tmp_path / "data" / pipeline.STATE_NAME).exists()
    assert signal.getsignal(signal.SIGTERM) is before
