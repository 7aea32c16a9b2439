"""`moldau quickstart` as a newcomer runs it: a real broker as its child, real files, kills in between."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import MoldauBroker


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("MOLDAU_", "KAFKA_"))}


def command(data_dir: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "moldau", "quickstart", "--data-dir", str(data_dir), *arguments]


def once(data_dir: Path, *paths: Path) -> dict[str, Any]:
    line = command(data_dir, "--once", "--output", "json", *map(str, paths))
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=100)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["lines_read"] == summary["lines_counted"]
    return summary


def in_topic(data_dir: Path, tmp_path: Path) -> list[bytes]:
    """What `moldau serve` then serves on the same data."""
    broker = MoldauBroker(tmp_path / "served")
    broker.data_dir = data_dir
    with broker:
        line = [sys.executable, "-m", "moldau", "consume", "logs", "-o", "start", "--exit", "-b", broker.bootstrap]
        return subprocess.run(line, capture_output=True, check=True, env=environment(), timeout=60).stdout.splitlines()


def test_a_second_run_reads_only_what_is_new(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("2026-11-24 14:49:01 ERROR one\n2026-11-24 14:49:02 INFO two\n")
    summary = once(tmp_path / "data", log)
    assert (summary["topic"], summary["lines_read"]) == ("logs", 2)
    assert summary["sources"][str(log)]["severities"] == {"error": 1, "info": 1}
    assert once(tmp_path / "data", log)["lines_read"] == 0
    log.rename(tmp_path / "app.log.1")
    log.write_text("three\n")
    assert once(tmp_path / "data", log)["lines_read"] == 1
    assert in_topic(tmp_path / "data", tmp_path) == [
        *(b"2026-11-24 14:49:01 ERROR one", b"2026-11-24 14:49:02 INFO two", b"three")
    ]


def test_kills_lose_and_double_no_line(tmp_path: Path) -> None:
    log, data_dir = tmp_path / "app.log", tmp_path / "data"
    written = 0
    generator = random.Random(7)
    for _ in range(3):
        with log.open("ab") as file:
            for _ in range(60_000):
                file.write(b"2026-11-24 14:49:01 INFO line number %d\n" % written)
                written += 1
        line = command(data_dir, "--once", str(log))
        running = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        # Killed somewhere between its first line and its last.
        deadline = time.monotonic() + 30
        while not any(data_dir.glob("logs-*")) and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(generator.uniform(0.0, 0.8))
        running.kill()
        running.wait()
    summary = once(data_dir, log)
    assert summary["lines_read"] + summary["caught_up"] <= written
    expected = Counter(b"2026-11-24 14:49:01 INFO line number %d" % number for number in range(written))
    assert Counter(in_topic(data_dir, tmp_path)) == expected
    saved = json.loads((data_dir / "quickstart.json").read_bytes())
    assert saved["totals"] == {str(log): {"info": written}}


def test_another_port_when_the_usual_is_taken(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\n")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 9092))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        line = command(tmp_path / "data", "--once", "--output", "json", str(log))
        done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 0
    assert "Port 9092 is taken" in done.stderr
    assert not json.loads(done.stdout)["bootstrap"].endswith(":9092")


def test_a_terminal_gets_the_live_view_until_ctrl_c(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("2026-11-24 14:49:01 ERROR one\n")
    child, terminal = pty.fork()
    if child == 0:
        line = command(tmp_path / "data", str(log))
        os.execve(line[0], line, {**environment(), "TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 140, 0, 0))
    shown = read_until(terminal, b"1 / 1")
    assert b"Your client connects to" in shown
    with log.open("a") as file:
        file.write("2026-11-24 14:49:02 WARN two\n")
    read_until(terminal, b"2 lines read")
    os.write(terminal, b"\x03")
    read_until(terminal, b"moldau serve --data-dir")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)


def read_until(terminal: int, wanted: bytes) -> bytes:
    shown = b""
    deadline = time.monotonic() + 60
    while wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        try:
            part = os.read(terminal, 65536) if ready else b""
        except OSError:
            part = b""
        if not part:
            pytest.fail(f"ended, or took too long, without {wanted!r}: {shown[-2000:]!r}")
        shown += part
    return shown
