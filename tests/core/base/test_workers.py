"""Workers hand results and failures back, the thread's on the loop."""

from __future__ import annotations

import asyncio
import threading

from moldau.core.base.workers import InlineWorker, ThreadWorker


def test_inline_runs_at_once_and_hands_failures_on() -> None:
    seen: list[object] = []
    worker = InlineWorker()
    worker.submit(lambda: 5, lambda result, error: seen.append((result, error)))
    worker.submit(lambda: 1 / 0, lambda result, error: seen.append(type(error)))
    worker.close()
    assert seen == [(5, None), ZeroDivisionError]


def test_a_thread_runs_the_work_and_the_loop_runs_done() -> None:
    async def body() -> list[object]:
        loop = asyncio.get_running_loop()
        worker = ThreadWorker(loop, "test", threads=2)
        here = threading.get_ident()
        outcomes: list[object] = []
        finished = asyncio.Event()

        def done(result: object, error: BaseException | None) -> None:
            outcomes.append((result != here, type(error), threading.get_ident() == here))
            if len(outcomes) == 2:
                finished.set()

        worker.submit(threading.get_ident, done)
        worker.submit(lambda: 1 / 0, done)
        await finished.wait()
        worker.close()
        return outcomes

    outcomes = asyncio.run(body())
    assert (True, type(None), True) in outcomes
    assert any(kind is ZeroDivisionError and on_loop for _, kind, on_loop in outcomes)  # type: ignore[misc]
