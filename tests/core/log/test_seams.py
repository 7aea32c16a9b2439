"""The protocols of a log's surroundings fit those who play the parts."""

from __future__ import annotations

from moldau.core.log.seams import Keeper, LogListener
from tests.support.log_rig import Heard, Rig, append


def test_a_listener_and_a_keeper() -> None:
    rig = Rig()
    log = rig.log()
    listener: LogListener = Heard(log)
    keeper: Keeper = rig.directory.writer
    assert log.listener is listener
    append(log, [b"v"])
    keeper.touched(log)  # twice in a turn is once
    rig.turn()
    assert rig.files.calls["writev"] == 1
