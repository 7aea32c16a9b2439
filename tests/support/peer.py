"""A real Apache Kafka 4.3.1 beside ours: fetched into the user's cache, formatted, started; and its Java tools.

The jars never enter the repository. Where Java or the jars cannot be had, `missing()` says what is missing,
and the tests that need them are skipped with that word.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from moldau.core.base.ids import random_uuid, uuid_text
from tests.support.ports import free_port
from tests.support.probe import serves
from tests.support.process import BrokerProcess

VERSION = "4.3.1"
POM = Path(__file__).with_name("peer.pom.xml")
# The default of Kafka's own start script.
SERVER_JVM = ("-Xms1G", "-Xmx1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:+ExplicitGCInvokesConcurrent")
TOOL_JVM = ("-Xmx256M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def home() -> Path:
    """Where the jars are or will be: MOLDAU_PEER_HOME, or a folder of the user's cache."""
    given = os.environ.get("MOLDAU_PEER_HOME")
    if given:
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "moldau" / f"kafka-{VERSION}"


def libraries() -> Path:
    return home() / "libs"


def missing() -> str | None:
    """What keeps the peer from running here; None when it can."""
    if shutil.which("java") is None:
        return "Java 17"
    if not (libraries() / f"kafka_2.13-{VERSION}.jar").exists():
        return f"Apache Kafka {VERSION} (make setup fetches it with Maven)"
    return None


def fetch() -> None:
    """Resolve the jars with Maven, unless they are there. Raises CalledProcessError or FileNotFoundError."""
    if (libraries() / f"kafka-tools-{VERSION}.jar").exists():
        return
    target = libraries()
    partial = target.with_name("libs.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    maven = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
    subprocess.run(maven, check=True)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def java(class_name: str, *arguments: str, jvm: tuple[str, ...] = TOOL_JVM) -> list[str]:
    """The command line that runs one of Kafka's classes."""
    return ["java", *jvm, "-cp", f"{libraries()}/*", class_name, *arguments]


def run_tool(class_name: str, *arguments: str, stdin: str | None = None, timeout_s: float = 60.0) -> str:
    """Run a Java tool to its end; its standard output. Raises AssertionError with both outputs when it fails."""
    done = subprocess.run(
        java(class_name, *arguments), input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{class_name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


class ApacheKafka(BrokerProcess):
    """One Apache Kafka node, broker and controller in one process."""

    name = "apache-kafka"

    def __init__(self, directory: Path, configs: dict[str, str] | None = None, *, port: int | None = None) -> None:
        super().__init__(directory, configs, port=port)
        self._controller_port = free_port()

    def command(self) -> list[str]:
        return java("kafka.Kafka", str(self._properties_path), jvm=SERVER_JVM)

    def prepare(self) -> None:
        self._properties_path.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))
        if not (self.data_dir / "meta.properties").exists():
            cluster_id = uuid_text(random_uuid(os.urandom(16)))  # one that does not look like a flag
            run_tool("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties_path))

    def is_ready(self) -> bool:
        return serves(self.host, self.port)

    def topic_configs(self, mode: str) -> dict[str, str]:
        return {"flush.messages": "1"} if mode == "synced" else {}

    @property
    def _properties_path(self) -> Path:
        return self.directory / "server.properties"

    def _properties(self) -> dict[str, str]:
        controller = f"{self.host}:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data_dir),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **self.configs,
        }


def _main(verb: str) -> None:
    """For the set-up script: `fetch`, or `missing` (prints nothing when all is there)."""
    if verb == "fetch":
        fetch()
    else:
        print(missing() or "")


if __name__ == "__main__":
    _main(sys.argv[1])
