"""Moldau as a child process: `moldau serve`, as a user starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.process import BrokerProcess

# What tests want of every broker: no wait before the first rebalance, and the loopback listener only.
TEST_CONFIGS = {"group.initial.rebalance.delay.ms": "0"}


class MoldauBroker(BrokerProcess):
    """`moldau serve` from the environment the tests run in."""

    name = "moldau"

    def __init__(self, directory: Path, configs: dict[str, str] | None = None, *, port: int | None = None) -> None:
        super().__init__(directory, {**TEST_CONFIGS, **(configs or {})}, port=port)
        self._log_start = 0

    def command(self) -> list[str]:
        overrides = [part for key, value in self.configs.items() for part in ("-X", f"{key}={value}")]
        return [
            *(sys.executable, "-m", "moldau", "serve"),
            *("--data-dir", str(self.data_dir), "--listener", f"{self.host}:{self.port}"),
            *overrides,
        ]

    def prepare(self) -> None:
        # The directory itself is left to the broker, as for a new user. A ready line of an earlier run does not count.
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0

    def is_ready(self) -> bool:
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return any(b"ready" in line for line in log.read().splitlines(keepends=True) if line.endswith(b"\n"))

    def topic_configs(self, mode: str) -> dict[str, str]:
        return {"moldau.durability": mode}
