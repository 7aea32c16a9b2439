"""A broker as a child of the quickstart: `moldau serve` in a process of its own, its log in a file of the data folder.

The child hears no Ctrl-C of the terminal (we stop it when our own work is written down), and where the system
can do that (Linux) it is told to stop when we die, so that no broker is left over to hold the folder's lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from moldau.cli.errors import CliError

HOST = "127.0.0.1"
PORT = 9092

LOG_NAME = "broker.log"
_LOG_BYTES = 8 << 20
_READY_S = 30.0
_STOP_S = 20.0
# How long a folder may stay locked by a broker that is on its way out.
_LOCKED_S = 15.0
_PR_SET_PDEATHSIG = 1


class BrokerChild:
    """A running `moldau serve`. `moved` says that the usual port was taken."""

    def __init__(self, data_dir: Path, address: str, *, moved: bool, process: subprocess.Popen[bytes]) -> None:
        self.address = address
        self.moved = moved
        self.log_path = data_dir / LOG_NAME
        self._process = process

    @classmethod
    def start(cls, data_dir: Path) -> BrokerChild:
        """Start and wait until it serves. Raises CliError with the end of its log when it does not."""
        log_path = data_dir / LOG_NAME
        data_dir.mkdir(parents=True, exist_ok=True)
        _turn_over(log_path)
        deadline = time.monotonic() + _LOCKED_S
        while True:
            port = free_port(PORT)
            began = log_path.stat().st_size if log_path.exists() else 0
            child = cls(data_dir, f"{HOST}:{port}", moved=port != PORT, process=_spawn(data_dir, port, log_path))
            if child._wait_ready(began):
                return child
            said = _tail(log_path, began)
            # A broker of the last run may still be closing its files, and a port may be taken between look and bind.
            passing = "lock" in said.lower() or "in use" in said.lower()
            if not passing or time.monotonic() > deadline:
                raise CliError(f"the broker did not start:\n{said}", hint=_hint(said, log_path))
            time.sleep(0.2)

    def check(self) -> None:
        """Raise CliError if it has ended."""
        if self._process.poll() is not None:
            said = _tail(self.log_path, 0)
            raise CliError(f"the broker ended with {self._process.returncode}:\n{said}", hint=f"see {self.log_path}")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for a broker that does not end."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_ready(self, began: int) -> bool:
        deadline = time.monotonic() + _READY_S
        while self._process.poll() is None:
            if any("ready" in line for line in _lines(self.log_path, began)):
                return True
            if time.monotonic() > deadline:
                self.stop()
                return False
            time.sleep(0.01)
        return False


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else any port that is free now."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            found: int = probe.getsockname()[1]
            return found
    raise CliError("no TCP port is free")


def _spawn(data_dir: Path, port: int, log_path: Path) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "moldau", "serve", "--dev"),
        *("--data-dir", str(data_dir), "--listener", f"{HOST}:{port}"),
        # The broker's own log is followed too: on an idle machine this is what moves.
        *("-X", "moldau.log.status.interval.ms=5000"),
    ]
    with log_path.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_parent(),
        )


def _end_with_parent() -> Callable[[], None] | None:
    """What the child runs before it becomes a broker. The library is loaded here, before there are two of us."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # it died in between

    return ask


def _hint(said: str, log_path: Path) -> str:
    if "in use by another process" in said:
        return "if that is a broker of yours, use it: moldau quickstart -b HOST:PORT; else give another --data-dir"
    return f"its whole log is {log_path}"


def _turn_over(log_path: Path) -> None:
    """Keep the log short: one old file beside it."""
    if log_path.exists() and log_path.stat().st_size > _LOG_BYTES:
        log_path.replace(log_path.with_name(f"{LOG_NAME}.1"))


def _lines(path: Path, began: int) -> list[str]:
    """Whole lines behind `began`."""
    with path.open("rb") as log:
        log.seek(began)
        return log.read().decode(errors="replace").split("\n")[:-1]


def _tail(path: Path, began: int) -> str:
    return "\n".join(f"  {line}" for line in _lines(path, began)[-10:])
