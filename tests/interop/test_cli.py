"""The command line against real brokers: Moldau, and Apache Kafka, on which every client command must work as well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import tools
from tests.support.peer import ApacheKafka
from tests.support.ports import free_port
from tests.support.process import BrokerProcess


@pytest.fixture(scope="module", params=["moldau", pytest.param("apache-kafka", marks=pytest.mark.peer)])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    if request.param == "apache-kafka":
        tools.need_peer()
        with ApacheKafka(tmp_path_factory.mktemp("peer")) as running:
            yield running
    else:
        yield request.getfixturevalue("broker")


class Shell:
    """Runs `moldau` commands against one broker."""

    def __init__(self, bootstrap: str) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("MOLDAU_", "KAFKA_"))}
        self.environment = {**environment, "MOLDAU_BOOTSTRAP": bootstrap}
        self.code = 0
        self.err = ""

    def __call__(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Its standard output. The exit code must be 0."""
        out = self.any(*arguments, stdin=stdin)
        assert self.code == 0, self.err
        return out

    def any(self, *arguments: str, stdin: bytes = b"") -> bytes:
        command = [sys.executable, "-m", "moldau", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, env=self.environment, timeout=60)
        self.code, self.err = done.returncode, done.stderr.decode()
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--output", "json"))


@pytest.fixture
def moldau(cluster: BrokerProcess) -> Shell:
    return Shell(cluster.bootstrap)


@pytest.fixture
def topic(moldau: Shell) -> str:
    name = f"cli-{uuid.uuid4().hex[:10]}"
    moldau("topic", "create", name, "-p", "3", "-X", "retention.ms=3600000")
    return name


def test_topics_from_birth_to_death(moldau: Shell) -> None:
    name = f"cli-{uuid.uuid4().hex[:10]}"
    (made,) = moldau.json("topic", "create", name, "-p", "2", "-X", "retention.ms=3600000")
    assert (made["name"], made["partitions"], made["replication_factor"]) == (name, 2, 1)
    assert name in moldau("topic", "list", "--output", "name").decode().split()
    described = moldau.json("topic", "describe", name)
    assert described["configs"]["retention.ms"] == "3600000"
    assert [(part["start"], part["end"]) for part in described["partitions"]] == [(0, 0), (0, 0)]
    moldau.any("topic", "create", name)
    assert (moldau.code, "already exists" in moldau.err) == (1, True)
    moldau("topic", "create", name, "--if-not-exists")
    moldau("topic", "delete", name, "--yes")
    moldau.any("topic", "describe", name)
    assert moldau.code == 3


def test_wrong_topics_are_refused_in_words(moldau: Shell) -> None:
    moldau.any("topic", "create", "a/b")
    assert (moldau.code, moldau.err.startswith("error: ")) == (1, True)
    moldau.any("topic", "create", "fine", "-X", "no.such.config=1")
    assert (moldau.code, "no.such.config" in moldau.err) == (1, True)
    assert "Traceback" not in moldau.err


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_lines_go_in_and_come_out(codec: str, moldau: Shell, topic: str) -> None:
    lines = [b"line %d" % number for number in range(5000)]
    moldau("produce", topic, "-z", codec, "-p", "1", stdin=b"\n".join(lines))
    assert moldau.err == f"5000 records to {topic}\n"
    assert moldau("consume", topic, "-o", "start", "--exit", "-f", r"%v\n").splitlines() == lines
    assert moldau("consume", topic, "-o", "-2", "--exit", "-f", "%p %o %v,") == b"1 4998 line 4998,1 4999 line 4999,"
    assert moldau("consume", topic, "-o", "10", "-n", "1", "-p", "1") == b"line 10\n"


def test_keys_headers_and_nulls_survive_a_pipe_from_topic_to_topic(moldau: Shell, topic: str) -> None:
    moldau("produce", topic, "-K", ":", "-Z", "-H", "from=here", stdin=b"a:1\nb:\nc:\xff\n")
    copied = f"{topic}-copy"
    moldau("topic", "create", copied)
    moldau("produce", copied, "--input", "ndjson", stdin=moldau("consume", topic, "--exit", "--output", "ndjson"))
    shown = moldau("consume", copied, "--exit", "-f", r"%k %V %h %v\n").splitlines()
    assert sorted(shown) == [b"a 1 from=here 1", b"b -1 from=here ", b"c 1 from=here \xff"]


def test_reading_by_time(moldau: Shell, topic: str) -> None:
    moldau("produce", topic, "-p", "0", stdin=b"one\n")
    (first,) = moldau.json("consume", topic, "--exit")
    moldau("produce", topic, "-p", "0", stdin=b"two\n")
    assert moldau("consume", topic, "-o", f"@{first['timestamp'] + 1}", "--exit") == b"two\n"
    assert moldau("consume", topic, "-o", "@2099-01-01", "--exit") == b""


def test_a_group_goes_on_where_it_stopped_and_shows_its_lag(moldau: Shell, topic: str) -> None:
    group = f"g-{topic}"
    moldau("produce", topic, stdin=b"".join(b"%d\n" % number for number in range(10)))
    first = moldau("consume", topic, "-g", group, "-n", "4").splitlines()
    described = moldau.json("group", "describe", group)
    assert described["lag"] <= 6
    assert described["state"] in ("empty", "stable")
    rest = moldau("consume", topic, "-g", group, "--exit").splitlines()
    assert sorted(map(int, first + rest)) == list(range(10))
    assert moldau.json("group", "describe", group)["lag"] == 0
    assert group in moldau("group", "list", "--output", "name").decode().split()


def test_what_is_not_there(moldau: Shell) -> None:
    for arguments in (["topic", "describe", "nope"], ["consume", "nope", "--exit"], ["group", "describe", "nope"]):
        moldau.any(*arguments)
        assert (moldau.code, "Traceback" in moldau.err) == (3, False)


def test_nobody_there_is_said_at_once() -> None:
    shell = Shell(f"127.0.0.1:{free_port()}")
    for arguments in (["topic", "list"], ["produce", "x"], ["consume", "x"], ["group", "list"]):
        shell.any(*arguments, stdin=b"x\n")
        assert (shell.code, "Connection refused" in shell.err) == (5, True)


def test_settings_of_the_client_that_cannot_be(moldau: Shell, tmp_path: Path) -> None:
    moldau.any("topic", "list", "-X", "no.such.setting=1")
    assert (moldau.code, "no.such.setting" in moldau.err) == (2, True)
    (tmp_path / "client.properties").write_text("ssl.truststore.location=/x.jks\n")
    moldau.any("topic", "list", "--command-config", str(tmp_path / "client.properties"))
    assert (moldau.code, "JKS" in moldau.err) == (2, True)
