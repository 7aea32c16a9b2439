"""A broker as a child process: started, stopped, killed, measured; what Moldau and Apache Kafka have in common.

Tests and benchmarks take a `BrokerProcess` and do not ask which broker it is. How each of the two is
configured and made ready lives in broker.py and peer.py.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_port

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def clean_environment() -> dict[str, str]:
    """This process's environment without what a broker would take for its own settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("MOLDAU_", "KAFKA_"))}


class StartFailed(Exception):
    """The broker ended, or did not come up in time; the text holds the end of its log."""


class BrokerProcess(ABC):
    """One broker on one port of 127.0.0.1, its data below `directory`. As a context manager it is stopped at exit."""

    name: str

    def __init__(self, directory: Path, configs: dict[str, str] | None = None, *, port: int | None = None) -> None:
        self.directory = directory
        self.configs = dict(configs or {})
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.data_dir = directory / "data"
        self.log_path = directory / f"{self.name}.log"
        self.prefix: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's own process id, also when it runs below a wrapper such as strace."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        if not self.prefix:
            return self._process.pid
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0])

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = 60.0) -> None:
        """Start and wait until it serves. Raises StartFailed."""
        self.launch()
        self.wait_ready(timeout_s)

    def launch(self) -> None:
        """Start without waiting."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment(),
            )
        _alive.add(self)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Block until the broker serves. Raises StartFailed when it ends first or takes longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if not self.running:
                raise StartFailed(f"{self.name} ended with {self.wait()}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StartFailed(f"{self.name} was not ready after {timeout_s} s:\n{self.log_tail()}")
            time.sleep(0.005)

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, then wait; the exit status. Killed, and TimeoutError raised, when it takes longer."""
        if self._process is None:
            return 0
        if self.running:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(self.pid, signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.name} did not stop in {timeout_s} s:\n{self.log_tail()}") from None

    def kill(self) -> None:
        """kill -9, the wrapper's child included."""
        if self._process is None:
            return
        if self.running:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(self.pid, signal.SIGKILL)
            if not self.prefix:
                self._process.kill()
        self.wait(10.0)

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end; the exit status (negative: the signal)."""
        if self._process is None:
            return 0
        status = self._process.wait(timeout_s)
        _alive.discard(self)
        return status

    def restart(self, timeout_s: float = 60.0) -> None:
        """Stop as an operator would, start again on the same port and data."""
        self.stop()
        self.start(timeout_s)

    def rss_bytes(self) -> int:
        """Resident memory now."""
        return int(self._status_field("VmRSS")) * 1024

    def peak_rss_bytes(self) -> int:
        """The most resident memory it ever had."""
        return int(self._status_field("VmHWM")) * 1024

    def cpu_seconds(self) -> float:
        """CPU used since the start by all its threads, and by children it has waited for: user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / CLOCK_TICKS

    def log_tail(self, lines: int = 40) -> str:
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        if not self.running:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.kill() if kind is not None else self.stop()

    @abstractmethod
    def command(self) -> list[str]:
        """The command line to run."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it serves requests by now."""

    @abstractmethod
    def topic_configs(self, mode: str) -> dict[str, str]:
        """Topic configs that make `mode` ("page-cache" or "synced") what acks=all means on this broker."""

    def prepare(self) -> None:
        """Whatever must exist before the first start."""
        self.data_dir.mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        return clean_environment()

    def _status_field(self, field: str) -> str:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return line.split()[1]
        raise RuntimeError(f"{self.name} (process {self.pid}) has no {field}: it has ended")


_alive: set[BrokerProcess] = set()


@atexit.register
def _kill_left_overs() -> None:
    """A test run that is interrupted leaves no broker behind."""
    for broker in list(_alive):
        with contextlib.suppress(Exception):
            broker.kill()
