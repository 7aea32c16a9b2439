"""Idempotence: what each producer last wrote to one partition, and the snapshot file that keeps it.

Lives here: the sequence rules and Kafka's snapshot format. Pure: the caller reads and writes the files.
Sequences run from 0 to 2^31-1 and begin again at 0. A batch is a duplicate when its first and last
sequence are those of one of the producer's last five batches; otherwise it must follow the newest.

    version 1 (int16) | crc32c of all that follows (uint32) | entries (int32 count, then each):
    producer id | epoch | last sequence | last offset | offset delta | timestamp | coordinator epoch | transaction start

Kafka writes one entry a producer, its newest batch. We write one for each batch that is kept, oldest
first: Kafka's reader ends with the newest, ours has all five again, so a retry across a restart is
still seen as the duplicate it is.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import google_crc32c

from moldau.core.base.errors import CorruptData, ErrorCode, Refusal

SEQUENCE_MASK = 0x7FFF_FFFF
BATCHES_KEPT = 5
SNAPSHOT_VERSION = 1

_PRELUDE = struct.Struct(">hI")
_COUNT = struct.Struct(">i")
_ENTRY = struct.Struct(">qhiqiqiq")

# First sequence, last sequence, base offset, max timestamp.
Batch = tuple[int, int, int, int]
# Epoch, then up to five batches, newest last. Tuples are replaced, never changed: keeping the old one is the undo.
State = tuple[int, tuple[Batch, ...]]
Undo = tuple[int, State | None]

_OUT_OF_ORDER = Refusal(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
_OLD_EPOCH = Refusal(ErrorCode.INVALID_PRODUCER_EPOCH)


class Duplicate(NamedTuple):
    """A batch that is in the log already. Whoever answers waits until the log is committed up to `end_offset`."""

    base_offset: int
    timestamp: int
    end_offset: int


class ProducerStates:
    """States by producer id. `undo` holds what each batch since the last `settled` replaced, oldest first."""

    __slots__ = ("_looked_ms", "_newest", "_states", "undo")

    def __init__(self) -> None:
        self._states: dict[int, State] = {}
        self._newest: dict[int, int] = {}  # at the last look for silent ones: offset of each producer's newest batch
        self._looked_ms: int | None = None
        self.undo: list[Undo] = []

    def __len__(self) -> int:
        return len(self._states)

    def state(self, producer_id: int) -> State | None:
        """Epoch and kept batches of a producer, or None."""
        return self._states.get(producer_id)

    def admit(
        self, producer_id: int, epoch: int, sequence: int, delta: int, base_offset: int, timestamp: int
    ) -> Duplicate | Refusal | None:
        """Decide on a client's batch and, unless refused or known, remember it at `base_offset`."""
        last = (sequence + delta) & SEQUENCE_MASK
        old = self._states.get(producer_id)
        if old is None:
            batches: tuple[Batch, ...] = ((sequence, last, base_offset, timestamp),)
        elif old[0] == epoch:
            kept = old[1]
            newest = kept[-1]
            if sequence != (newest[1] + 1) & SEQUENCE_MASK:
                for first, known_last, offset, at in kept:
                    if first == sequence and known_last == last:
                        return Duplicate(offset, at, offset + delta + 1)
                return _OUT_OF_ORDER
            fresh = (sequence, last, base_offset, timestamp)
            batches = (*kept, fresh) if len(kept) < BATCHES_KEPT else (*kept[1:], fresh)
        elif epoch < old[0]:
            return _OLD_EPOCH
        elif sequence != 0:
            return _OUT_OF_ORDER
        else:
            batches = ((sequence, last, base_offset, timestamp),)
        self.undo.append((producer_id, old))
        self._states[producer_id] = (epoch, batches)
        return None

    def replay(self, producer_id: int, epoch: int, sequence: int, delta: int, base_offset: int, timestamp: int) -> None:
        """Remember a batch that is in the log: it was decided on when it was appended."""
        batch = (sequence, (sequence + delta) & SEQUENCE_MASK, base_offset, timestamp)
        old = self._states.get(producer_id)
        if old is None or old[0] != epoch:
            self._states[producer_id] = (epoch, (batch,))
        else:
            self._states[producer_id] = (epoch, (*old[1][1 - BATCHES_KEPT :], batch))

    def take_back(self, undo: list[Undo]) -> None:
        """Bring back what the batches of `undo` replaced: their write failed."""
        states = self._states
        for producer_id, old in reversed(undo):
            if old is None:
                states.pop(producer_id, None)
            else:
                states[producer_id] = old

    def forget_silent(self, now_ms: int, after_ms: int) -> int:
        """Forget producers that appended nothing for `after_ms`, or up to twice that; returns how many went.

        Timestamps say nothing here: who writes old events would be forgotten, and its retries doubled. To be
        called now and then; it looks once in `after_ms`.
        """
        if self._looked_ms is not None and now_ms - self._looked_ms < after_ms:
            return 0
        states, before = self._states, self._newest
        gone = [producer_id for producer_id, state in states.items() if before.get(producer_id) == state[1][-1][2]]
        for producer_id in gone:
            del states[producer_id]
        self._newest = {producer_id: state[1][-1][2] for producer_id, state in states.items()}
        self._looked_ms = now_ms
        return len(gone)

    def clear(self) -> None:
        """Forget everything."""
        self._states.clear()
        self.undo.clear()

    def encode_snapshot(self, undo: list[Undo] | None = None) -> bytes:
        """The snapshot file; with `undo`, as things were before the batches it holds."""
        states = self._states
        if undo:
            earlier = ProducerStates()
            earlier._states = dict(states)
            earlier.take_back(undo)
            states = earlier._states
        entries = [
            _ENTRY.pack(producer_id, epoch, last, offset + delta, delta, timestamp, -1, -1)
            for producer_id, (epoch, batches) in states.items()
            for first, last, offset, timestamp in batches
            for delta in ((last - first) & SEQUENCE_MASK,)
        ]
        body = _COUNT.pack(len(entries)) + b"".join(entries)
        return _PRELUDE.pack(SNAPSHOT_VERSION, google_crc32c.value(body)) + body

    def load_snapshot(self, content: bytes) -> None:
        """Replace everything by a snapshot file, ours or Kafka's. Raises CorruptData."""
        try:
            version, crc = _PRELUDE.unpack_from(content)
            (count,) = _COUNT.unpack_from(content, _PRELUDE.size)
        except struct.error as error:
            raise CorruptData("a producer snapshot is too short") from error
        body = content[_PRELUDE.size :]
        if version != SNAPSHOT_VERSION:
            raise CorruptData(f"a producer snapshot has version {version}; only {SNAPSHOT_VERSION} is known")
        if google_crc32c.value(body) != crc or len(body) != _COUNT.size + count * _ENTRY.size:
            raise CorruptData("a producer snapshot does not match its checksum")
        self.clear()
        for producer_id, epoch, last, last_offset, delta, timestamp, _, _ in _ENTRY.iter_unpack(body[_COUNT.size :]):
            if last_offset >= 0:
                first = (last - delta) & SEQUENCE_MASK
                self.replay(producer_id, epoch, first, delta, last_offset - delta, timestamp)
