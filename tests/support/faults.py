"""Syncs that are slow or fail, on a running Moldau: by system-call injection (strace), or inside its `Files`.

Both ways give a broker with `delay_syncs`, `fail_syncs` and `heal`; the same tests run on both.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import tools
from tests.support.broker import MoldauBroker

SYNCS = "fdatasync,syncfs"


class FaultyBroker(MoldauBroker):
    """A Moldau whose `Files` do what a plan in a file says."""

    def __init__(self, directory: Path, configs: dict[str, str] | None = None, *, port: int | None = None) -> None:
        super().__init__(directory, configs, port=port)
        self._plan = directory / "faults.json"

    def command(self) -> list[str]:
        return [word if word != "moldau" else "tests.support.faulty_serve" for word in super().command()]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "FAULTS_PLAN": str(self._plan), "PYTHONPATH": str(Path.cwd())}

    def prepare(self) -> None:
        super().prepare()
        self.heal()

    def delay_syncs(self, ms: int) -> None:
        """Every fdatasync and syncfs returns `ms` later than it would."""
        self._write({"delay_ms": ms})

    def fail_syncs(self) -> None:
        """Every fdatasync and syncfs fails with EIO and syncs nothing."""
        self._write({"fail": True})

    def heal(self) -> None:
        self._write({})

    def _write(self, plan: dict[str, object]) -> None:
        partial = self._plan.with_suffix(".partial")
        partial.write_text(json.dumps(plan))
        partial.replace(self._plan)


class TracedBroker(MoldauBroker):
    """A Moldau like any other, with strace attached while faults are wanted."""

    def __init__(self, directory: Path, configs: dict[str, str] | None = None, *, port: int | None = None) -> None:
        super().__init__(directory, configs, port=port)
        self._strace: subprocess.Popen[str] | None = None

    def delay_syncs(self, ms: int) -> None:
        self._inject(f"delay_exit={ms * 1000}")

    def fail_syncs(self) -> None:
        self._inject("error=EIO")

    def heal(self) -> None:
        if self._strace is not None:
            self._strace.send_signal(signal.SIGINT)
            self._strace.wait(10)
            assert self._strace.stderr is not None
            self._strace.stderr.close()
            self._strace = None

    def kill(self) -> None:
        super().kill()
        self.heal()

    def _inject(self, fault: str) -> None:
        self.heal()
        strace = tools.need("strace")
        arguments = ["-f", "-p", str(self.pid), "-e", f"trace={SYNCS}", "-e", f"inject={SYNCS}:{fault}"]
        trace = self.directory / "strace.out"
        self._strace = subprocess.Popen([strace, "-o", str(trace), *arguments], stderr=subprocess.PIPE, text=True)
        assert self._strace.stderr is not None
        line = self._strace.stderr.readline()
        if "attached" not in line:
            self._strace.wait(10)
            # Not a failure even where peers are required: the same test runs with the faults inside `Files`.
            pytest.skip(f"{tools.MISSING}ptrace ({line.strip()})")
        # The threads of the broker are attached one after the other; all of them before the fault counts.
        deadline = time.monotonic() + 10
        while not all(_traced(int(thread)) for thread in os.listdir(f"/proc/{self.pid}/task")):
            assert time.monotonic() < deadline, "strace did not attach to every thread"
            time.sleep(0.01)


def _traced(thread: int) -> bool:
    status = Path(f"/proc/{thread}/status").read_text()
    return "TracerPid:\t0\n" not in status


FAULTY: tuple[type[FaultyBroker] | type[TracedBroker], ...] = (TracedBroker, FaultyBroker)
