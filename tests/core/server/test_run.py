"""A broker as a process: signals, the ready line, exit codes, what is shown when it cannot start."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moldau.core.base.errors import ConfigError
from moldau.core.server import run as module
from moldau.core.server.run import allow_many_files, keep_freed_memory, loop_factory
from tests.support.ports import free_port
from tests.support.wire import Wire

SERVE = "import json, sys; from moldau.core.server.run import serve; sys.exit(serve(json.loads(sys.argv[1])))"


class Process:
    """`serve` in a process of its own, with the settings of a test."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.port = free_port()
        texts = {"log.dirs": str(directory), "listeners": f"PLAINTEXT://127.0.0.1:{self.port}"}
        texts |= {key.replace("_", "."): text for key, text in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, json.dumps(texts)], stderr=subprocess.PIPE, text=True
        )
        self.said = ""

    def ready(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if "ready" in line:
                return
        raise AssertionError(self.said)

    def end(self, number: int | None = None) -> int:
        """Send a signal, wait; the exit status. `said` has all it wrote."""
        if number is not None:
            self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=30)
        self.said += rest
        return self.process.returncode


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, processes: list[Process], number: int) -> None:
    broker = Process(tmp_path)
    processes.append(broker)
    broker.ready()
    assert f"moldau is ready: PLAINTEXT://127.0.0.1:{broker.port}\n" in broker.said
    with Wire("127.0.0.1", broker.port):
        assert broker.end(number) == 0
    assert (tmp_path / ".kafka_cleanshutdown").exists()
    assert "Traceback" not in broker.said
    assert "stopping" in broker.said


def test_a_second_one_on_the_same_directory_is_refused(tmp_path: Path, processes: list[Process]) -> None:
    first = Process(tmp_path)
    processes.append(first)
    first.ready()
    second = Process(tmp_path)
    processes.append(second)
    assert second.end() == 1
    assert f"StorageError: The data directory {tmp_path} is in use by another process" in second.said
    assert "ready" not in second.said
    with Wire("127.0.0.1", first.port):
        assert first.end(signal.SIGTERM) == 0


# -- the loop


@pytest.mark.parametrize("name", ["auto", "uvloop", "asyncio"])
def test_the_loop_that_is_asked_for(name: str) -> None:
    loop = loop_factory(name)()
    try:
        kind = type(loop).__module__.partition(".")[0]
        assert kind == ("asyncio" if name == "asyncio" else "uvloop")
    finally:
        loop.close()


def test_without_uvloop_auto_takes_what_is_there_and_uvloop_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory("auto") is asyncio.new_event_loop
    with pytest.raises(ConfigError, match="pip install uvloop"):
        loop_factory("uvloop")


# -- open files


def test_freed_memory_is_kept_where_the_allocator_can() -> None:
    class Glibc:
        def __init__(self) -> None:
            self.settings: dict[int, int] = {}

        def mallopt(self, setting: int, value: int) -> int:
            self.settings[setting] = value
            return 1

    glibc = Glibc()
    assert keep_freed_memory(glibc)
    assert glibc.settings == {-1: 48 << 20, -3: 8 << 20}
    assert not keep_freed_memory(object())


def test_as_many_files_as_the_system_lets_us(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    limits = {"now": (1024, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, wanted: asked.append(wanted))
    allow_many_files()
    limits["now"] = (4096, 4096)
    allow_many_files()
    limits["now"] = (1024, resource.RLIM_INFINITY)
    allow_many_files()
    limits["now"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    allow_many_files()
    assert asked == [(4096, 4096), (module.FILES_WANTED, resource.RLIM_INFINITY)]


# -- who ends it


async def _never() -> None:
    await asyncio.Event().wait()


async def _at_once() -> None:
    return None


def test_the_first_of_two_is_told_and_the_other_let_go() -> None:
    async def main() -> list[bool]:
        return [await module._first(_at_once(), _never()), await module._first(_never(), _at_once())]

    assert asyncio.run(main()) == [False, True]
