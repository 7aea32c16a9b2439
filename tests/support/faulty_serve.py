"""`moldau serve` whose syncs can be delayed or failed from outside: for machines where no other process may be traced.

The file named by FAULTS_PLAN holds what to do now: {"delay_ms": 200}, {"fail": true} or {}. It is read at each sync.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moldau.cli.main import main
from moldau.core.base.files import OsFiles


def faulty(sync: Callable[[Any, int], None], plan: Path) -> Any:
    """`sync` as the plan wants it: the delay comes after the sync, the failure in place of it."""

    def call(files: OsFiles, handle: int) -> None:
        wanted: dict[str, Any] = json.loads(plan.read_text())
        if wanted.get("fail"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(files, handle)
        time.sleep(wanted.get("delay_ms", 0) / 1000)

    return call


if __name__ == "__main__":
    plan_path = Path(os.environ["FAULTS_PLAN"])
    OsFiles.sync_data = faulty(OsFiles.sync_data, plan_path)  # type: ignore[method-assign]
    OsFiles.sync_filesystem = faulty(OsFiles.sync_filesystem, plan_path)  # type: ignore[method-assign]
    main()
