"""The composition root: builds one broker out of its parts, starts it, stops it.

Order of a start: directories and their logs, metadata (which registers this broker and raises the leader epochs),
the hosted partitions, the coordinators over theirs, and only then the listeners. A stop goes the other way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable
from typing import TypeVar

from moldau.core.base.clock import Clock, SystemClock
from moldau.core.base.errors import ErrorCode, Refusal, StorageError
from moldau.core.base.files import Files, OsFiles
from moldau.core.base.ids import random_uuid
from moldau.core.base.pending import Pending
from moldau.core.base.workers import ThreadWorker
from moldau.core.coordinators.coordinator import GroupCoordinator
from moldau.core.coordinators.group.config import OFFSETS_TOPIC
from moldau.core.log.directory import LogDirectory, Workers
from moldau.core.metadata import features, storage
from moldau.core.metadata.brokers import Registration
from moldau.core.metadata.config_view import ConfigView
from moldau.core.metadata.controller import Controller, ControllerSettings
from moldau.core.metadata.creation import Defaults, NewTopic
from moldau.core.metadata.image import ClusterImage, EndpointImage
from moldau.core.quorum.driver import Host, QuorumDriver
from moldau.core.quorum.voters import ReplicaKey, VoterEndpoint
from moldau.core.replication.partition import Partition
from moldau.core.replication.replicas import Replicas
from moldau.core.server.config import Endpoint
from moldau.core.server.configs import Configs, options
from moldau.core.server.connections import Connections
from moldau.core.server.context import Services
from moldau.core.server.producer_ids import ProducerIds
from moldau.core.server.registry import Table
from moldau.core.server.session import Session
from moldau.core.server.status_log import Status, StatusLog
from moldau.core.server.ticker import Ticker

log = logging.getLogger("moldau.server")

T = TypeVar("T")

PLAINTEXT = 0  # Kafka's number of that security protocol
DRAIN_STEP_S = 0.01
COLD_READ_THREADS = 2
HOUSEKEEPING_MS = 5000


class Broker:
    """One broker of a cluster, on the running loop."""

    def __init__(self, configs: Configs, *, files: Files | None = None, clock: Clock | None = None) -> None:
        self.configs = configs
        self.endpoints: list[Endpoint] = []
        self.failed = asyncio.Event()
        self._files = files or OsFiles()
        self._clock = clock or SystemClock()
        self._loop = asyncio.get_running_loop()
        self._workers: list[ThreadWorker] = []
        self._opened: list[LogDirectory] = []
        self._housekeeping_due_ms = 0
        self._random: Callable[[int], bytes] = os.urandom

    async def start(self) -> None:
        """Recover, lead, listen. Raises ConfigError, StorageError; what was opened is given back."""
        try:
            await self._start()
        except BaseException:
            self._give_back()
            raise

    def _give_back(self) -> None:
        """Let go of threads, files and the directory's lock."""
        for worker in self._workers:
            worker.close()
        for directory in self._opened:
            directory.close()

    async def _start(self) -> None:
        config = self.configs.broker
        path = os.path.abspath(config.log_dirs[0])
        identity = self._prepare(path)
        self._directory = LogDirectory(
            path,
            self._files,
            self._clock,
            self.configs.directory,
            workers=Workers(*(self._worker(name) for name in Workers._fields)),
            call_soon=self._loop.call_soon,
            defaults=self.configs.topics,
        )
        self._directory.on_offline = lambda _problem: self.failed.set()
        self._directory.open()
        self._opened.append(self._directory)
        self.controller = self._make_controller(path, identity)
        self.view = ConfigView(config.node_id, options(), self.configs.given)
        self.replicas = Replicas(config.node_id, self._directory, self.view.log_config)
        self.replicas.now_ms = self._clock.monotonic_ms()  # requests come before the first tick
        self.groups = GroupCoordinator(
            self.configs.groups,
            self._clock,
            lambda: str(uuid.UUID(bytes=random_uuid(self._random(16)))),
            self._loop.call_soon,
        )
        self.replicas.on_led = self._led
        self.replicas.on_lost = self._lost
        self.controller.on_image.append(self._image_changed)

        outcome = await settled(self.controller.start(self._registration(identity)))
        if isinstance(outcome, Refusal):
            raise StorageError(f"{path}: the metadata cannot be written: {outcome.message or outcome.code.name}")
        await self._listen()
        status_log = StatusLog(config.status_log_interval_ms, self._status)
        # Each by itself: one that fails must not keep the others from their time.
        ticks: list[Callable[[int], None]] = [self._connections.tick, self.replicas.tick, self.groups.tick]
        self._ticker = Ticker(self._loop, self._clock, [*ticks, self._tick, status_log.tick])
        self._ticker.start()

    # -- building

    def _worker(self, name: str, threads: int = 1) -> ThreadWorker:
        worker = ThreadWorker(self._loop, name, threads)
        self._workers.append(worker)
        return worker

    def _soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(call)

    def _prepare(self, path: str) -> storage.Identity:
        config = self.configs.broker
        first = config.endpoints()[0]
        endpoint = VoterEndpoint("CONTROLLER", first.host or "localhost", first.port)
        formatter = storage.Formatter(self._files, self._clock, self._random, endpoint)
        return storage.prepare(formatter, [path], config.node_id, config.cluster_id)

    def _make_controller(self, path: str, identity: storage.Identity) -> Controller:
        config = self.configs.broker
        name = storage.METADATA_DIRECTORY
        topic = name.rpartition("-")[0]
        metadata_log = self._directory.logs.get((topic, 0)) or self._directory.create_log(
            topic, 0, storage.METADATA_TOPIC_ID, self.configs.quorum.log_config()
        )
        host = Host(self._files, self._clock, self._worker("metadata"), self._soon)
        me = ReplicaKey(identity.node_id, identity.directory_ids[0])
        quorum = QuorumDriver(metadata_log, f"{path}/{name}", host, me, self.configs.quorum)
        groups = self.configs.groups
        internal = {
            OFFSETS_TOPIC: NewTopic(
                OFFSETS_TOPIC,
                groups.offsets_topic_partitions,
                groups.offsets_topic_replication_factor,
                configs=tuple(groups.offsets_topic_configs().items()),
            )
        }
        settings = ControllerSettings(
            identity.cluster_id,
            Defaults(config.num_partitions, config.default_replication_factor),
            internal,
            storage.read_bootstrap(self._files, path),
        )
        return Controller(quorum, settings, self._clock, self._random)

    def _registration(self, identity: storage.Identity) -> Registration:
        config = self.configs.broker
        advertised = config.advertised()
        endpoints = tuple(
            EndpointImage(each.name, where.host or "localhost", where.port, PLAINTEXT)
            for each in config.endpoints()
            for where in [advertised.get(each.name, each)]
        )
        return Registration(config.node_id, self._random(16), endpoints, features.SUPPORTED, identity.directory_ids)

    async def _listen(self) -> None:
        table = Table()
        config = self.configs.broker
        services = Services(
            config=config,
            clock=self._clock,
            loop=self._loop,
            controller=self.controller,
            replicas=self.replicas,
            groups=self.groups,
            config_view=self.view,
            apis=table.apis,
            advertised=config.advertised(),
            metadata_cache={},
            producer_ids=ProducerIds(self.controller.allocate_producer_ids),
        )
        self._connections = Connections(services, table, self._worker("cold-reads", COLD_READ_THREADS))
        for endpoint in config.endpoints():
            try:
                port = await self._connections.listen(endpoint, Session)
            except OSError as error:
                self._connections.stop_listening()
                raise StorageError(f"cannot listen on {endpoint}: {error.strerror or error}") from error
            self.endpoints.append(endpoint._replace(port=port))

    # -- running

    def _image_changed(self, image: ClusterImage, before: ClusterImage) -> None:
        self.groups.on_image(image, before)
        self.replicas.apply(image, before)

    def _led(self, partition: Partition) -> None:
        if partition.topic == OFFSETS_TOPIC:
            self.groups.on_partition_led(partition.index, partition)

    def _lost(self, partition: Partition) -> None:
        if partition.topic == OFFSETS_TOPIC:
            self.groups.on_partition_lost(partition.index)

    def _tick(self, now_ms: int) -> None:
        self.controller.tick()
        if now_ms >= self._housekeeping_due_ms:
            self._housekeeping_due_ms = now_ms + HOUSEKEEPING_MS
            self._directory.housekeeping()

    def _status(self) -> Status:
        logs = self._directory.logs.values()
        return Status(self._connections.count, len(logs), sum(each.end_offset for each in logs))

    # -- stopping

    async def stop(self) -> bool:
        """Drain, flush, let go; True if everything is on the disk and the clean marker is written.

        Who does not take its answers has half of the time: the other half is the disk's.
        """
        allowed_ms = self.configs.broker.shutdown_timeout_ms
        deadline_ms = self._clock.monotonic_ms() + allowed_ms
        self._ticker.stop()
        self._connections.stop_listening()
        self._connections.quiesce()
        while self.replicas.waiting or self._connections.untaken:
            if self._clock.monotonic_ms() >= deadline_ms - allowed_ms // 2:
                break
            await asyncio.sleep(DRAIN_STEP_S)
        self.replicas.close(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self._connections.close()
        left_s = max(0, deadline_ms - self._clock.monotonic_ms()) / 1000
        try:
            clean = await asyncio.wait_for(settled(self._directory.shut_down(self.controller.broker_epoch)), left_s)
        except TimeoutError:
            log.error("the flush did not end in time: the next start will check the logs")
            return False  # a disk that hangs would hold the workers, and their threads do not outlive us anyway
        self._give_back()
        return clean


async def settled(pending: Pending[T]) -> T:
    """Wait for a pending answer in a coroutine."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def tell(value: T) -> None:
        if not future.done():  # who waited may have given up
            future.set_result(value)

    pending.then(tell)
    return await future
