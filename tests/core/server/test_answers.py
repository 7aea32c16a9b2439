"""Answers leave in the order of their requests; what is held is counted, and let go of exactly once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from moldau.core.base.pending import WEIGHT, Pending
from moldau.core.net.receive import Budget
from moldau.core.server.answers import HEAVY, Answers


class Sink:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data[8:])

    def write_chunks(self, chunks: list[Any]) -> None:
        self.sent.append([chunk[8:] if isinstance(chunk, bytes) else chunk for chunk in chunks])


class Piece:
    """A slice of a file."""

    def __init__(self) -> None:
        self.released = 0

    def __len__(self) -> int:
        return 1000

    def release(self) -> None:
        self.released += 1


def encode(answer: Any) -> bytes:
    if isinstance(answer, Exception):
        raise answer
    return bytes(answer)


# Endpoints as far as answers know them: one whose answers are bytes, one whose answers may hold slices.
PLAIN: Any = SimpleNamespace(encode=encode, response_flexible=False, api=SimpleNamespace(name="Plain"))
FETCH: Any = SimpleNamespace(
    encode=None, encode_chunks=list, response_flexible=False, api=SimpleNamespace(name="Fetch")
)


class Rig:
    def __init__(self) -> None:
        self.sink = Sink()
        self.budget = Budget(1 << 20)
        self.events: list[str] = []
        self.answers = Answers(
            self.sink,  # type: ignore[arg-type]
            self.budget,
            lambda: self.events.append("less"),
            lambda: self.events.append("broken"),
        )

    def wait(self, endpoint: Any = PLAIN) -> Pending[Any]:
        pending: Pending[Any] = Pending()
        self.answers.wait(pending, 1, endpoint)
        return pending


def test_an_answer_that_is_there_leaves_at_once() -> None:
    rig = Rig()
    rig.answers.give(b"one", 1, PLAIN)
    piece = Piece()
    rig.answers.give([b"head", piece], 2, FETCH)
    assert rig.sink.sent == [b"one", [b"head", piece]]
    assert (rig.budget.used, rig.events) == (0, [])


def test_an_answer_that_waits_holds_back_the_others() -> None:
    rig = Rig()
    first, second = rig.wait(), rig.wait()
    rig.answers.give(b"third", 3, PLAIN)
    assert rig.sink.sent == []
    assert (rig.answers.held_bytes, rig.answers.waiting_bytes) == (8 + 5, 2 * WEIGHT)
    assert rig.budget.used == 8 + 5 + 2 * WEIGHT
    second.complete(b"second")
    assert (rig.answers.held_bytes, rig.answers.waiting_bytes) == (8 + 5 + 8 + 6, WEIGHT), (
        "like those that never waited"
    )
    assert rig.budget.used == 8 + 5 + 8 + 6 + WEIGHT
    first.complete(b"first")
    assert rig.sink.sent == [[b"first", b"second", b"third"]]
    assert (rig.budget.used, rig.answers.held_bytes, rig.answers.waiting_bytes) == (0, 0, 0)
    assert len(rig.answers.queue) == 0
    assert rig.events == ["less"]


def test_what_stands_behind_the_next_that_waits_stays() -> None:
    rig = Rig()
    first = rig.wait()
    rig.answers.give(b"a", 2, PLAIN)
    second = rig.wait()
    rig.answers.give(b"b", 4, PLAIN)
    first.complete(b"first")
    assert rig.sink.sent == [[b"first", b"a"]]
    assert rig.budget.used == 8 + 1 + WEIGHT
    second.complete(b"second")
    assert rig.sink.sent[1:] == [[b"second", b"b"]]


def test_slices_that_are_held_are_not_counted_and_let_go_with_the_connection() -> None:
    rig = Rig()
    pieces = [Piece() for _ in range(3)]
    abandoned: list[str] = []
    first: Pending[Any] = Pending(lambda: abandoned.append("first"))
    rig.answers.wait(first, 1, PLAIN)
    second = rig.wait(FETCH)
    rig.answers.give([b"head", pieces[0]], 3, FETCH)
    second.complete([b"head", pieces[1]])
    assert rig.budget.used == 2 * (8 + 4) + WEIGHT
    rig.answers.close()
    assert [piece.released for piece in pieces] == [1, 1, 0]
    assert (rig.budget.used, rig.answers.held_bytes, abandoned) == (0, 0, ["first"])
    first.complete(b"late")
    assert rig.sink.sent == []


def test_closing_twice_frees_once() -> None:
    rig = Rig()
    rig.wait()
    rig.answers.give(b"held", 2, PLAIN)
    rig.answers.close()
    rig.answers.close()
    assert rig.budget.used == 0


def test_an_answer_that_cannot_be_encoded_ends_the_connection_and_nothing_behind_it_leaves() -> None:
    rig = Rig()
    first, second = rig.wait(), rig.wait(FETCH)
    piece = Piece()
    rig.answers.give([b"third", piece], 3, FETCH)
    second.complete(b"")
    first.complete(ValueError("bug"))
    assert rig.events == ["broken"]
    assert rig.sink.sent == []
    rig.answers.close()
    assert (piece.released, rig.budget.used) == (1, 0)


def test_a_heavy_one_counts_at_once() -> None:
    rig = Rig()
    told: list[int] = []
    rig.budget.on_exceeded = lambda: told.append(rig.budget.used)
    heavy: Pending[Any] = Pending()
    heavy.weight = (1 << 20) + HEAVY
    rig.answers.wait(heavy, 1, PLAIN)
    assert told == [heavy.weight]
    heavy.complete(b"")
    assert rig.budget.used == 0
