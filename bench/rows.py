"""The rows of the benchmark. Each warms up both brokers on itself, then gives one value per figure and round.

Targets are ratios moldau / peer. A row never looks at which broker it drives.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from bench.figures import Better, Figure
from bench.sides import Side, Usage, librdkafka, run_program

GB = 1e9
# Bulk goes to a few partitions, as it does when a topic has a few.
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """How long and how much; `quick` is for trying the harness, its figures mean little."""

    rounds: int = 5
    seconds: float = 4.0
    warm_up_seconds: float = 6.0
    bulk_bytes: int = 1_000_000_000
    idle_seconds: float = 3.0

    @classmethod
    def quick(cls) -> Scale:
        return cls(rounds=2, seconds=1.0, warm_up_seconds=1.5, bulk_bytes=100_000_000, idle_seconds=0.5)


@dataclass(frozen=True, slots=True)
class Measured:
    """One round on one side: a value per figure, and what the broker used."""

    values: dict[Figure, float]
    usage: Usage


class Row(Protocol):
    """`own_brokers`: the row starts and stops its brokers itself."""

    name: str
    own_brokers: bool

    @property
    def figures(self) -> tuple[Figure, ...]: ...

    def warm_up(self, side: Side, scale: Scale) -> None: ...

    def measure(self, side: Side, scale: Scale, round_number: int) -> Measured: ...


@dataclass(slots=True)
class Start:
    """From process start, on a directory that was closed cleanly, to the first acknowledged record; then idle."""

    name: str = "start"
    own_brokers: bool = True
    time: Figure = field(init=False)
    memory: Figure = field(init=False)

    def __post_init__(self) -> None:
        self.time = Figure("start to first acknowledged record", "s", "page-cache", target=0.25)
        self.memory = Figure("idle memory", "MB", "page-cache", target=0.15)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (self.time, self.memory)

    def warm_up(self, side: Side, scale: Scale) -> None:
        side.broker.start()
        side.make_topic("first", 1, "page-cache")
        side.broker.stop()
        self.measure(side, scale, -1)

    def measure(self, side: Side, scale: Scale, round_number: int) -> Measured:
        broker = side.broker
        begun_ns = time.monotonic_ns()
        broker.launch()
        answer = run_program("produce_load", host=broker.host, port=broker.port, topic="first", first=1)
        elapsed = (answer["first_ns"] - begun_ns) / 1e9
        used = Usage(elapsed, broker.cpu_seconds())
        time.sleep(scale.idle_seconds)
        memory = broker.rss_bytes() / 1e6
        broker.stop()
        return Measured({self.time: elapsed, self.memory: memory}, used)


@dataclass(slots=True)
class SmallProduce:
    """Requests of one 100-byte record with acks=all in a closed loop of `connections`."""

    connections: int
    mode: str
    rate_target: float | None = None
    p50_target: float | None = None
    cpu_target: float | None = None
    partitions: int = 1
    own_brokers: bool = False
    name: str = field(init=False)
    rate: Figure = field(init=False)
    p50: Figure = field(init=False)
    p99: Figure = field(init=False)
    cpu: Figure = field(init=False)

    def __post_init__(self) -> None:
        plural = "connection" if self.connections == 1 else "connections"
        what = f"small produce, {self.connections} {plural}"
        self.name = f"small-{self.connections}-{self.mode}"
        if self.partitions > 1:
            what += f", {self.partitions} partitions"
            self.name += f"-{self.partitions}"
        self.rate = Figure(f"{what}: rate", "requests/s", self.mode, Better.HIGHER, self.rate_target)
        self.p50 = Figure(f"{what}: p50", "us", self.mode, target=self.p50_target)
        self.p99 = Figure(f"{what}: p99", "us", self.mode)
        self.cpu = Figure(f"{what}: broker CPU per request", "us", self.mode, target=self.cpu_target)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (self.rate, self.p50, self.p99, self.cpu)

    def warm_up(self, side: Side, scale: Scale) -> None:
        side.make_topic(self.name, self.partitions, self.mode)
        self._run(side, scale.warm_up_seconds)

    def measure(self, side: Side, scale: Scale, round_number: int) -> Measured:
        with side.usage() as used:
            answer = self._run(side, scale.seconds)
        return Measured(
            {
                self.rate: answer["rate"],
                self.p50: answer["p50_us"],
                self.p99: answer["p99_us"],
                self.cpu: used.cpu_seconds / answer["requests"] * 1e6,
            },
            used,
        )

    def _run(self, side: Side, seconds: float) -> dict[str, float]:
        return run_program(
            "produce_load",
            host=side.broker.host,
            port=side.broker.port,
            topic=self.name,
            partitions=self.partitions,
            connections=self.connections,
            seconds=seconds,
            warmup=0,
        )


@dataclass(slots=True)
class BulkProduce:
    """librdkafka with its default batching, acks=all, records of one size; a new topic each round."""

    size: int
    mode: str
    rate_target: float | None = None
    cpu_target: float | None = None
    own_brokers: bool = False
    name: str = field(init=False)
    rate: Figure = field(init=False)
    cpu: Figure = field(init=False)

    def __post_init__(self) -> None:
        label = "1 KB" if self.size == 1024 else f"{self.size} B"
        self.name = f"bulk-produce-{self.size}-{self.mode}"
        self.rate = Figure(f"bulk produce, {label} records: rate", "MB/s", self.mode, Better.HIGHER, self.rate_target)
        self.cpu = Figure(f"bulk produce, {label} records: broker CPU per GB", "s", self.mode, target=self.cpu_target)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (self.rate, self.cpu)

    def warm_up(self, side: Side, scale: Scale) -> None:
        self.measure(side, scale, -1)

    def measure(self, side: Side, scale: Scale, round_number: int) -> Measured:
        # Small records cost the client more: half the bytes take as long. A synced disk is the slowest part of it.
        volume = scale.bulk_bytes // (2 if self.size < 1000 or self.mode == "synced" else 1)
        topic = f"{self.name}-{round_number + 1}"
        side.make_topic(topic, PARTITIONS, self.mode)
        with side.usage() as used:
            answer = produce_bulk(side, topic, self.size, volume)
        side.delete_topic(topic)
        return Measured(
            {self.rate: answer["mb_per_second"], self.cpu: used.cpu_seconds / answer["bytes"] * GB},
            used,
        )


@dataclass(slots=True)
class BulkConsume:
    """librdkafka reads one topic of 1 KB records from its start, all of it in the page cache."""

    rate_target: float | None = None
    cpu_target: float | None = None
    size: int = 1024
    own_brokers: bool = False
    name: str = "bulk-consume"
    rate: Figure = field(init=False)
    cpu: Figure = field(init=False)

    def __post_init__(self) -> None:
        self.rate = Figure("bulk consume, 1 KB records: rate", "MB/s", "page-cache", Better.HIGHER, self.rate_target)
        self.cpu = Figure("bulk consume, 1 KB records: broker CPU per GB", "s", "page-cache", target=self.cpu_target)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (self.rate, self.cpu)

    def warm_up(self, side: Side, scale: Scale) -> None:
        side.make_topic(self.name, PARTITIONS, "page-cache")
        produce_bulk(side, self.name, self.size, scale.bulk_bytes)
        self.measure(side, scale, -1)

    def measure(self, side: Side, scale: Scale, round_number: int) -> Measured:
        with side.usage() as used:
            answer = run_program(
                "bulk",
                "consume",
                library=librdkafka(),
                bootstrap=side.broker.bootstrap,
                topic=self.name,
                partitions=PARTITIONS,
                records=scale.bulk_bytes // self.size,
            )
        return Measured(
            {self.rate: answer["mb_per_second"], self.cpu: used.cpu_seconds / answer["bytes"] * GB},
            used,
        )


@dataclass(slots=True)
class EndToEnd:
    """Single records at a steady rate, acks=all, from send to receive by a long-polling consumer."""

    mode: str
    a_second: int
    p50_target: float | None = None
    p99_target: float | None = None
    own_brokers: bool = False
    name: str = field(init=False)
    p50: Figure = field(init=False)
    p99: Figure = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"end-to-end-{self.mode}"
        what = f"end to end at {self.a_second:,} records/s"
        self.p50 = Figure(f"{what}: p50", "us", self.mode, target=self.p50_target)
        self.p99 = Figure(f"{what}: p99", "us", self.mode, target=self.p99_target)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (self.p50, self.p99)

    def warm_up(self, side: Side, scale: Scale) -> None:
        # A run of its own: the first seconds of a JVM would otherwise be most of what is seen.
        self._run(side, scale.warm_up_seconds * 2, "warm-up")

    def measure(self, side: Side, scale: Scale, round_number: int) -> Measured:
        with side.usage() as used:
            answer = self._run(side, scale.seconds, str(round_number))
        return Measured({self.p50: answer["p50_us"], self.p99: answer["p99_us"]}, used)

    def _run(self, side: Side, seconds: float, suffix: str) -> dict[str, float]:
        topic = f"{self.name}-{suffix}"
        side.make_topic(topic, 1, self.mode)
        return run_program(
            "end_to_end",
            host=side.broker.host,
            port=side.broker.port,
            topic=topic,
            rate=self.a_second,
            seconds=seconds,
            warmup=0.5,
        )


def produce_bulk(side: Side, topic: str, size: int, volume: int) -> dict[str, float]:
    """`volume` bytes of records of `size` by librdkafka."""
    return run_program(
        "bulk",
        "produce",
        library=librdkafka(),
        bootstrap=side.broker.bootstrap,
        topic=topic,
        partitions=PARTITIONS,
        size=size,
        records=volume // size,
    )


def all_rows() -> list[Row]:
    """Every row, in the order it runs. The targets block the build of the product: see docs/benchmarks.md."""
    return [
        Start(),
        SmallProduce(1, "page-cache", p50_target=1.3),
        SmallProduce(10, "page-cache", rate_target=1.1, cpu_target=0.7),
        SmallProduce(100, "page-cache", rate_target=0.8, cpu_target=1.0),
        SmallProduce(1, "synced", rate_target=1.3),
        SmallProduce(10, "synced", rate_target=5.0),
        SmallProduce(100, "synced", rate_target=10.0),
        # The peer syncs partitions side by side: no targets, but worth knowing.
        SmallProduce(10, "synced", partitions=PARTITIONS),
        SmallProduce(100, "synced", partitions=PARTITIONS),
        BulkProduce(1024, "page-cache", rate_target=1.5, cpu_target=0.6),
        BulkProduce(100, "page-cache", rate_target=1.05),
        BulkProduce(1024, "synced"),
        BulkProduce(100, "synced"),
        BulkConsume(rate_target=1.0, cpu_target=1.1),
        EndToEnd("page-cache", 2_000, p50_target=0.8, p99_target=0.8),
        # The peer does not sync 2,000 times a second: a rate that both can keep.
        EndToEnd("synced", 500),
    ]
