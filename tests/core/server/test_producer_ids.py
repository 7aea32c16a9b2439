"""Producer ids come out of blocks, each once, and everyone waits for the block that is being fetched."""

from __future__ import annotations

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.pending import Pending
from moldau.core.server.producer_ids import ProducerIds


class Blocks:
    """A controller that hands out blocks of `size` when told to."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.start = 0
        self.asked: list[Pending[range | Refusal]] = []

    def allocate(self) -> Pending[range | Refusal]:
        self.asked.append(Pending())
        return self.asked[-1]

    def give(self) -> None:
        block = range(self.start, self.start + self.size)
        self.start += self.size
        self.asked.pop(0).complete(block)


def test_everyone_waits_for_one_block_and_gets_an_id_of_its_own() -> None:
    blocks = Blocks(size=2)
    ids = ProducerIds(blocks.allocate)
    waiting = [ids.next() for _ in range(3)]
    assert len(blocks.asked) == 1
    blocks.give()
    assert [pending.value for pending in waiting] == [0, 1, None]
    assert len(blocks.asked) == 1  # the third needs another block
    blocks.give()
    assert waiting[2].value == 2
    assert ids.next().value == 3
    assert blocks.asked == []


def test_a_refused_block_refuses_those_who_wait_and_the_next_asks_again() -> None:
    blocks = Blocks(size=2)
    ids = ProducerIds(blocks.allocate)
    waiting = ids.next()
    refusal = Refusal(ErrorCode.KAFKA_STORAGE_ERROR)
    blocks.asked.pop().complete(refusal)
    assert waiting.value is refusal
    again = ids.next()
    blocks.give()
    assert again.value == 0
