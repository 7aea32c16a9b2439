"""One node's controller over a real log directory; writes and syncs happen when the test runs the loop's turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moldau.core.base.clock import SystemClock
from moldau.core.base.files import Files, OsFiles
from moldau.core.base.pending import Pending
from moldau.core.base.workers import InlineWorker
from moldau.core.log.config import DirectoryConfig
from moldau.core.log.directory import LogDirectory, Workers
from moldau.core.log.names import METADATA_TOPIC
from moldau.core.metadata import storage
from moldau.core.metadata.controller import Controller, ControllerSettings
from moldau.core.metadata.creation import Defaults
from moldau.core.quorum.driver import METADATA_TOPIC_ID, Host, QuorumConfig, QuorumDriver
from moldau.core.quorum.voters import ReplicaKey, VoterEndpoint
from tests.support.images import Random, registration
from tests.support.manual_log import Deferred


class DiskNode:
    """Formats or opens `path` and starts; `run` lets everything that waits happen."""

    def __init__(
        self,
        path: Path,
        *,
        files: Files | None = None,
        config: QuorumConfig | None = None,
        cluster_id: str = "",
        random: Random | None = None,
        voter: VoterEndpoint | None = None,
    ) -> None:
        files, clock = files or OsFiles(), SystemClock()
        config = config or QuorumConfig()
        self.deferred = Deferred()
        self.random = random or Random()
        self.path = str(path)
        endpoint = voter or VoterEndpoint("CONTROLLER", "localhost", 9093)
        formatter = storage.Formatter(files, clock, self.random, endpoint)
        self.identity = storage.prepare(formatter, [self.path], 1, cluster_id)
        inline = InlineWorker()
        workers = Workers(inline, inline, inline, inline)
        self.directory = LogDirectory(
            self.path, files, clock, DirectoryConfig(), workers=workers, call_soon=self.deferred
        )
        self.directory.open()
        log = self.directory.logs.get((METADATA_TOPIC, 0))
        if log is None:
            log = self.directory.create_log(METADATA_TOPIC, 0, METADATA_TOPIC_ID, config.log_config())
        self.metadata = f"{self.path}/{storage.METADATA_DIRECTORY}"
        host = Host(files, clock, inline, self.deferred)
        me = ReplicaKey(1, self.identity.directory_ids[0])
        self.quorum = QuorumDriver(log, self.metadata, host, me, config)
        bootstrap = storage.read_bootstrap(files, self.path)
        settings = ControllerSettings(self.identity.cluster_id, Defaults(), {}, bootstrap)
        self.controller = Controller(self.quorum, settings, clock, self.random)
        assert self.answer(self.controller.start(registration(directories=self.identity.directory_ids))) is True

    def run(self) -> None:
        """The loop's turns, until nothing waits."""
        self.deferred.run()

    def answer(self, pending: Pending[Any]) -> Any:
        """What a pending answer comes to."""
        self.run()
        assert pending.done
        return pending.value

    def stop(self) -> None:
        """An orderly end."""
        assert self.answer(self.directory.shut_down()) is True
        self.directory.close()

    def kill(self) -> None:
        """The end of the process: what was written stays."""
        self.directory.close()
