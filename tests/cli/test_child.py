"""The broker as a child: which port, what is said when it does not start, when it ends. A script plays the broker."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from moldau.cli import child
from moldau.cli.child import LOG_NAME, BrokerChild, free_port
from moldau.cli.errors import CliError


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes `BrokerChild.start` run these Python programs, one after another, instead of brokers."""

    def choose(*programs: str) -> None:
        left = list(programs)

        def spawn(_data_dir: Path, _port: int, log_path: Path) -> subprocess.Popen[bytes]:
            program = left.pop(0) if len(left) > 1 else left[0]
            with log_path.open("ab") as log:
                return subprocess.Popen([sys.executable, "-c", program], stdout=log, stderr=log)

        monkeypatch.setattr(child, "_spawn", spawn)

    return choose


READY = "import sys, time; print('moldau is ready: x', file=sys.stderr, flush=True); time.sleep(60)"


def test_it_waits_for_the_ready_line_and_stops(play, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    play(READY)
    broker = BrokerChild.start(tmp_path / "new")
    assert (broker.log_path, broker.address.startswith("127.0.0.1:")) == (tmp_path / "new" / LOG_NAME, True)
    broker.check()
    broker.stop()
    with pytest.raises(CliError, match="the broker ended with -15"):
        broker.check()


def test_a_broker_that_does_not_start_is_quoted(play, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / LOG_NAME).write_text("moldau is ready: of an earlier run\n")
    play("import sys; sys.exit('error: no space left')")
    with pytest.raises(CliError, match="did not start:\n  error: no space left") as error:
        BrokerChild.start(tmp_path)
    assert str(tmp_path / LOG_NAME) in (error.value.hint or "")


def test_a_folder_that_is_still_locked_is_tried_again(play, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    play("import sys; sys.exit('error: the directory is in use by another process')", READY)
    BrokerChild.start(tmp_path).stop()


def test_a_folder_that_stays_locked_is_an_error(  # type: ignore[no-untyped-def]
    play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_LOCKED_S", 0.0)
    play("import sys; sys.exit('error: the directory is in use by another process')")
    with pytest.raises(CliError, match="in use") as error:
        BrokerChild.start(tmp_path)
    assert "moldau quickstart -b" in (error.value.hint or "")


def test_a_long_log_is_turned_over(play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(child, "_LOG_BYTES", 10)
    (tmp_path / LOG_NAME).write_text("long enough to be turned over\n")
    play(READY)
    BrokerChild.start(tmp_path).stop()
    assert "turned over" in (tmp_path / f"{LOG_NAME}.1").read_text()
    assert "turned over" not in (tmp_path / LOG_NAME).read_text()


def test_another_port_where_the_usual_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind((child.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (0, port)
    assert free_port(port) == port


PARENT = """
import os, subprocess, sys
from moldau.cli.child import _end_with_parent
descriptor = int(sys.argv[1])
child = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
left = subprocess.Popen(child, preexec_fn=_end_with_parent(), stdout=subprocess.PIPE, pass_fds=[descriptor])
left.stdout.readline()
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_the_child_ends_with_its_parent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", PARENT, str(theirs.fileno())]
        done = subprocess.run(command, pass_fds=[theirs.fileno()], timeout=30)
        assert done.returncode == -9
        theirs.close()
        ours.settimeout(30)
        # The other end lives on in the child only: it closes when that is gone.
        assert ours.recv(1) == b""
