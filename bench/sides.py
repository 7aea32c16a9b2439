"""The two lanes of the benchmark: a broker process, its topics, and the compiled clients run against it."""

from __future__ import annotations

import glob
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka

from bench.build import program
from tests.support.admin import delete_topic, make_topic
from tests.support.broker import MoldauBroker
from tests.support.peer import ApacheKafka
from tests.support.process import BrokerProcess

# Deleted topics give their pages back soon, so that one row's data is not written to disk during the next.
BENCH_CONFIGS = {"log.segment.delete.delay.ms": "100"}

BROKERS: dict[str, type[BrokerProcess]] = {"moldau": MoldauBroker, "peer": ApacheKafka}


@dataclass(slots=True)
class Usage:
    """What a broker used while something ran."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def cores(self) -> float:
        return self.cpu_seconds / self.seconds if self.seconds else 0.0


class Side:
    """One broker and what the rows do with it."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.broker = BROKERS[name](directory / name, BENCH_CONFIGS)

    def make_topic(self, name: str, partitions: int, mode: str) -> None:
        """Create a topic with the durability `mode` and wait until every partition is served."""
        make_topic(self.broker.bootstrap, name, partitions, self.broker.topic_configs(mode))

    def delete_topic(self, name: str) -> None:
        """Delete a topic, and let the disk come to rest so that the next round starts as this one did."""
        delete_topic(self.broker.bootstrap, name)
        time.sleep(0.5)
        os.sync()

    @contextmanager
    def usage(self) -> Iterator[Usage]:
        """What the broker uses while the block runs."""
        used = Usage()
        start, cpu = time.monotonic(), self.broker.cpu_seconds()
        yield used
        used.seconds, used.cpu_seconds = time.monotonic() - start, self.broker.cpu_seconds() - cpu

    def close(self) -> None:
        if self.broker.running:
            self.broker.stop()


class ClientFailed(Exception):
    """A compiled client ended with an error, or with records that never came."""


def run_program(name: str, *verbs: str, **options: object) -> dict[str, float]:
    """Run a compiled client to its end; the JSON it printed. Raises ClientFailed."""
    arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    done = subprocess.run([str(program(name)), *verbs, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClientFailed(f"{name} {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def librdkafka() -> str:
    """The shared library inside the confluent-kafka wheel."""
    package = Path(confluent_kafka.__file__).parent
    found = glob.glob(str(package.parent / "confluent_kafka.libs" / "librdkafka-*.so*"))
    if not found:
        raise RuntimeError("this confluent-kafka brings no librdkafka of its own: install the manylinux wheel")
    return found[0]
