"""The log of one partition: append, roll, take back what could not be written, cut.

Lives here: offsets, the gather of one loop turn, and the rules by which segments begin and end. Reading is
`stored.py`'s, the disk `writer.py`'s: nothing here writes, except `truncate_to` and `advance_start_offset`.

Invariant: synced_offset <= written_offset <= end_offset, and each is a batch boundary.
"""

from __future__ import annotations

import google_crc32c

from moldau.core.base.clock import Clock
from moldau.core.base.errors import ErrorCode, InvariantBroken, Refusal
from moldau.core.base.files import GATHER_MAX, Buffer, Files
from moldau.core.base.options import INT_MAX, LONG_MAX, MIB
from moldau.core.log import times, timestamps, validator
from moldau.core.log.config import LogConfig
from moldau.core.log.epochs import LeaderEpochs
from moldau.core.log.headers import HEAD
from moldau.core.log.index import OffsetIndex, TimeIndex
from moldau.core.log.names import METADATA_TOPIC
from moldau.core.log.producers import Duplicate, ProducerStates
from moldau.core.log.run import Part, Run, joined
from moldau.core.log.seams import Keeper, LogListener
from moldau.core.log.segment import NO_TIMESTAMP, Segment
from moldau.core.log.stored import StoredLog
from moldau.core.log.times import Found
from moldau.core.protocol.batch import APPEND_TIME, CRC_FROM, HEADER, HEADER_SIZE, LENGTH_FROM, MAGIC

# Codec 0 to 4, and none of the bits for timestamp type, transaction and control.
_PLAIN_MASK = 0x3F
_PLAIN_LAST = 4

# However sparse the index is to be, the writer gets to see what waits this often.
LOOK_BYTES = MIB

_unpack_header = HEADER.unpack_from
_pack_head = HEAD.pack
_crc32c = google_crc32c.value


class PartitionLog(StoredLog):
    """See the module. Made by `LogDirectory`, which also recovers it."""

    __slots__ = (
        "_active",
        "_append_time",
        "_clock",
        "_epoch",
        "_gather",
        "_gather_start",
        "_index_at",
        "_last_allowed",
        "_mark",
        "_max_bytes",
        "_parts",
        "_position",
        "_refusal",
        "_roll_at",
        "_time_limit",
        "_unsynced_since_ms",
        "_writer",
        "append_time",
        "config",
        "deleted",
        "durable",
        "epochs_under_way",
        "generation",
        "held",
        "in_flight",
        "listener",
        "offline",
        "partition",
        "producers",
        "rolled",
        "snapshot_offsets",
        "snapshots",
        "topic",
        "topic_id",
        "unindexed",
        "unsynced",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        topic_id: bytes,
        *,
        files: Files,
        clock: Clock,
        writer: Keeper,
        directory: str,
    ) -> None:
        super().__init__(files, directory, [Segment(files, directory, 0)], LeaderEpochs())
        self.topic = topic
        self.partition = partition
        self.topic_id = topic_id
        self._clock = clock
        self._writer = writer
        self.producers = ProducerStates()
        self.listener: LogListener | None = None
        self.offline = False
        self.deleted = False
        self.append_time = NO_TIMESTAMP  # what LogAppendTime gave the last batch; -1 with CreateTime
        self.in_flight: Run | None = None  # a run the write worker has
        self.held = False  # its gather waits for a sync round to end
        self.unsynced: dict[Segment, None] = {}  # segments written to since their last sync
        self.unindexed: dict[Segment, None] = {}  # segments written to since their indexes were
        self.snapshot_offsets: dict[int, None] = {}  # producer snapshots on the disk
        self.snapshots: list[tuple[int, bytes]] = []  # producer snapshots that a checkpoint is to write
        self.rolled = False
        self.epochs_under_way = 0  # writes of its epoch checkpoint that a worker still has
        self.generation = 0  # rises when the log is cut: what a worker does for an older one no longer counts
        self._refusal: Refusal | None = None
        self._unsynced_since_ms: int | None = None
        self._gather: list[Buffer] = []
        self._parts: list[Part] = []
        self._gather_start = 0
        self._mark = (NO_TIMESTAMP, 0)
        self._position: int = 0
        self._epoch: int = -1
        self._last_allowed: int = INT_MAX
        self.reconfigure(LogConfig())
        self._activate()

    def adopt(self, segments: list[Segment], start: int, end: int, epochs: LeaderEpochs) -> None:
        """Take what recovery found on the disk."""
        self.segments = segments
        self.leader_epochs = epochs
        self.start_offset = start
        self.end_offset = self.written_offset = self.synced_offset = end
        self.written_at = self.synced_at = (segments[-1], segments[-1].size)
        self._positions.clear()
        self._activate()

    def forget_files(self) -> None:
        """The files are about to be cut and loaded again."""
        self.generation += 1
        self.close()
        self._opened.clear()
        self.unsynced.clear()
        self.unindexed.clear()
        self.snapshots.clear()
        self.snapshot_offsets.clear()

    def reconfigure(self, config: LogConfig) -> None:
        """Take other options from the next append on."""
        self.config = config
        self.durable = config.durable or self.topic == METADATA_TOPIC
        self._max_bytes = min(config.max_message_bytes, config.segment_bytes)
        self._append_time = config.log_append_time
        self._time_limit = -2  # the next append finds out
        self._roll_at = config.segment_bytes
        if self.durable and self.synced_offset < self.written_offset:
            self._writer.request_sync(self)

    def append(self, batch: Buffer, leader_epoch: int, *, internal: bool = False) -> int | Duplicate | Refusal:
        """Take one batch into this loop turn's write, and give its base offset.

        `batch` is the whole records field of one partition of a Produce request; it may be reused once this
        returns. `internal` batches are our own: they may hold control records and have any size.
        A `Duplicate` is in the log already; its answer waits until the log is committed up to its end.
        """
        size = len(batch)
        if size < HEADER_SIZE:
            return self._refuse(batch, internal=internal)
        header = _unpack_header(batch)
        base, length, _, magic, crc, attributes, delta, _, max_timestamp, producer_id, epoch, sequence, count = header
        tail: Buffer = bytes(batch[CRC_FROM:])
        if (
            crc != _crc32c(tail)
            or magic != MAGIC
            or length != size - LENGTH_FROM
            or delta != count - 1
            or count <= 0
            or base != 0
            or attributes & _PLAIN_MASK > _PLAIN_LAST
            or size > self._max_bytes
            or max_timestamp > self._time_limit
            or self._refusal is not None
        ):
            changed = self._unusual(batch, internal=internal)
            if isinstance(changed, Refusal):
                return changed
            length, crc, max_timestamp, tail = changed
            size = length + LENGTH_FROM
        offset = self.end_offset
        if producer_id >= 0:
            if sequence < 0:
                return self._refuse(batch, internal=internal)
            verdict = self.producers.admit(producer_id, epoch, sequence, delta, offset, max_timestamp)
            if verdict is not None:
                return verdict
        last = offset + delta
        position = self._position
        if position + size > self._roll_at or last > self._last_allowed:
            position = self._roll(offset)
        if not self._gather:
            self._begin(position)
        segment = self._active
        if max_timestamp > segment.max_timestamp:
            segment.max_timestamp = max_timestamp
            segment.max_timestamp_offset = last
        if position >= self._index_at:
            self._index(position, last, max_timestamp)
        if leader_epoch > self._epoch:
            self.leader_epochs.assign(leader_epoch, offset)
            self._epoch = leader_epoch
        self._gather += (_pack_head(offset, length, leader_epoch, MAGIC, crc), tail)
        self._position = position + size
        self.end_offset = last + 1
        return offset

    def offset_for_timestamp(self, timestamp: int, upto: int) -> Found | None:
        """The first record below `upto` that is not older than `timestamp`. Raises OSError, CorruptData."""
        return times.first_since(self, timestamp, upto)

    def max_timestamp(self, upto: int) -> Found | None:
        """The first record below `upto` with the largest timestamp. Raises OSError, CorruptData."""
        return times.newest(self, upto)

    def truncate_to(self, offset: int) -> None:
        """Cut off the batch that holds `offset` and everything behind it. Blocks. Raises OSError.

        Nothing of this log is on its way to the disk: the caller waited for `written_offset` to be the end.
        """
        if self.in_flight is not None or self._gather:
            raise InvariantBroken(f"{self.directory} is cut while it is written to")
        if offset < self.end_offset:  # so something is written, and the directory exists
            self._writer.truncate(self, max(offset, self.start_offset))

    def advance_start_offset(self, offset: int) -> None:
        """Nobody reads below `offset` any more; segments that lie wholly below it are removed on a worker."""
        if offset <= self.start_offset:
            return
        if offset > self.end_offset:
            raise InvariantBroken(f"{self.directory} cannot begin at {offset}, it ends at {self.end_offset}")
        self.start_offset = offset
        self.leader_epochs.advance_start(offset)
        gone: list[Segment] = []
        while len(self.segments) > 1 and self.segments[1].base_offset <= min(offset, self.written_offset):
            gone.append(self.segments.pop(0))
        first = self.segments[0]
        if self.synced_offset < first.base_offset:
            self.synced_offset, self.synced_at = first.base_offset, (first, 0)
        self._positions = {at: place for at, place in self._positions.items() if at >= offset}
        for segment in gone:
            if segment in self._opened:
                self._opened.remove(segment)
            self.unsynced.pop(segment, None)
            self.unindexed.pop(segment, None)
            segment.close()
        self._writer.start_moved(self, gone)

    @property
    def gathered(self) -> int:
        """Bytes that wait to be handed to the writer."""
        if not self._gather:
            return 0
        size = self._position - self._gather_start
        return size + sum(part.size for part in self._parts) if self._parts else size

    @property
    def makes_file(self) -> bool:
        """Whether writing the gather makes a file."""
        segment = self._active
        return segment.file is None and segment.size == 0

    @property
    def gathered_batches(self) -> int:
        """Batches that wait to be handed to the writer."""
        pieces = len(self._gather)
        return (pieces + sum(len(part.pieces) for part in self._parts) if self._parts else pieces) // 2

    # The slow turns of append.

    def _refuse(self, batch: Buffer, *, internal: bool) -> Refusal:
        found = validator.examine(batch, self.config.max_message_bytes, self.config.segment_bytes, internal=internal)
        return found if isinstance(found, Refusal) else Refusal(ErrorCode.INVALID_RECORD)

    def _unusual(self, batch: Buffer, *, internal: bool) -> Refusal | tuple[int, int, int, Buffer]:
        """What the fast checks stopped: a refusal, or (length, CRC, max timestamp, tail) to go on with."""
        if self._refusal is not None:
            return self._refusal
        config = self.config
        size = validator.examine(batch, config.max_message_bytes, config.segment_bytes, internal=internal)
        if isinstance(size, Refusal):
            return size
        tail: Buffer = bytes(batch[CRC_FROM:size])
        _, _, _, _, crc, attributes, _, base_timestamp, max_timestamp, _, _, _, _ = _unpack_header(batch)
        self.append_time = NO_TIMESTAMP
        if not internal:
            problem = timestamps.problem(self.config, self._clock, attributes, base_timestamp, max_timestamp)
            if problem is not None:
                return problem
        if self._append_time:
            max_timestamp = self.append_time = self._clock.wall_ms()
            crc, tail = timestamps.renew(tail, attributes | APPEND_TIME, max_timestamp)
        elif attributes & APPEND_TIME:
            crc, tail = timestamps.renew(tail, attributes & ~APPEND_TIME, max_timestamp)
        self._renew_time_limit(max_timestamp)
        return size - LENGTH_FROM, crc, max_timestamp, tail

    def _renew_time_limit(self, max_timestamp: int) -> None:
        """Set the largest timestamp that passes without a look at the clock or the segment's age."""
        config = self.config
        first = self._active.first_timestamp
        if first != NO_TIMESTAMP and self._position and max_timestamp - first > config.segment_ms:
            self._roll_at = 0
            first = max_timestamp
        if self._append_time or config.message_timestamp_before_max_ms != LONG_MAX:
            self._time_limit = -2  # every batch is looked at
            return
        limit = self._clock.wall_ms() + config.message_timestamp_after_max_ms
        self._time_limit = limit if first == NO_TIMESTAMP else min(limit, first + config.segment_ms)

    def _begin(self, position: int) -> None:
        """The first batch since the last write, or since a roll."""
        self._gather_start = position
        if not self._parts:
            self._mark = (self._active.max_timestamp, self._active.max_timestamp_offset)
            self._writer.touched(self)

    def _index(self, position: int, last_offset: int, max_timestamp: int) -> None:
        """Called now and then as the segment grows: index entries, and what else need not be looked at every time."""
        segment, config = self._active, self.config
        if position == 0:
            segment.first_timestamp = max_timestamp
            self._time_limit = -2
        else:
            indexed = segment.offsets.last
            if position > (indexed[1] if indexed is not None else 0) + config.index_interval_bytes:
                segment.offsets.append(last_offset, position)
                segment.times.append(segment.max_timestamp, segment.max_timestamp_offset)
                if (
                    len(segment.offsets) >= config.segment_index_bytes // OffsetIndex.layout.size
                    or len(segment.times) >= config.segment_index_bytes // TimeIndex.layout.size - 1
                ):
                    self._roll_at = 0
        self._index_at = position + min(config.index_interval_bytes, LOOK_BYTES) + 1
        if self.held or self.in_flight is not None:
            self._writer.touched(self)  # the writer bounds what waits

    # Segments begin and end.

    def _roll(self, offset: int) -> int:
        """Begin a new segment at `offset`, unless the active one is empty; the position to append at."""
        if self._position == 0:
            self._roll_at = self.config.segment_bytes
            return 0
        self.seal()
        if self._gather:
            size = self._position - self._gather_start
            self._parts.append(Part(self._active, self._gather_start, self._gather, size))
            self._gather = []
        # The batch that comes next was admitted already: its place in the snapshot is behind it.
        undo = self.producers.undo
        fresh = undo[-1:] if undo and self._admitted_at(undo[-1][0], offset) else []
        self.snapshots.append((offset, self.producers.encode_snapshot(fresh)))
        if self._active.file is not None and self._active not in self._opened:
            self._keep_open(self._active)
        self.segments.append(Segment(self.files, self.directory, offset))
        self.rolled = True
        self._activate()
        return 0

    def _admitted_at(self, producer_id: int, offset: int) -> bool:
        state = self.producers.state(producer_id)
        return state is not None and state[1][-1][2] == offset

    def seal(self) -> None:
        """The active segment gets its last time index entry: its largest timestamp is known from that."""
        active = self._active
        if active.max_timestamp != NO_TIMESTAMP:
            active.times.append(active.max_timestamp, active.max_timestamp_offset)

    def _activate(self) -> None:
        """Append to the last segment, behind what is written of it."""
        active = self._active = self.segments[-1]
        self._position = active.size
        self._epoch = self.leader_epochs.latest
        self._last_allowed = active.base_offset + INT_MAX
        self._roll_at = self.config.segment_bytes
        self._time_limit = -2
        last = active.offsets.last
        if active.size == 0:
            self._index_at = 0
        else:
            indexed = last[1] if last is not None else 0
            self._index_at = indexed + min(self.config.index_interval_bytes, LOOK_BYTES) + 1

    # What the writer does with the gather; see `writer.py`.

    def write_gather(self) -> bool:
        """Write the gather by one call, if it is that simple: an open file, no roll, nothing left over.

        False leaves everything as it was. Raises OSError; the gather is still there then, and is to be taken back.
        """
        segment = self._active
        file = segment.file
        if file is None or self._parts or len(self._gather) > GATHER_MAX:
            return False
        size = self._position - self._gather_start
        if self.files.writev(file.handle, joined(self._gather, size)) != size:
            self.files.truncate(file.handle, self._gather_start)
            return False
        segment.size = self._position
        self.unsynced[segment] = self.unindexed[segment] = None
        self.written_offset = self.end_offset
        self.written_at = (segment, segment.size)
        self._gather = []
        if self.producers.undo:
            self.producers.undo = []
        return True

    def take_run(self) -> Run:
        """Everything that is gathered (there is something), as one run."""
        size = self._position - self._gather_start
        self._parts.append(Part(self._active, self._gather_start, self._gather, size))
        run = Run(self, self._parts, self.end_offset, self._mark, self.producers.undo)
        self._gather, self._parts = [], []
        self.producers.undo = []
        return run

    def run_written(self, run: Run) -> None:
        """The files have `run`."""
        for part in run.parts:
            segment = part.segment
            segment.size = part.position + part.size
            self.unsynced[segment] = self.unindexed[segment] = None
            if segment is not self._active and segment not in self._opened:
                self._keep_open(segment)
        self.written_offset = run.end_offset
        self.written_at = (segment, segment.size)

    def run_failed(self, run: Run) -> None:
        """The files are as before `run`: so is the log, and what was gathered behind it is gone too."""
        self.producers.take_back(run.undo + self.producers.undo)
        self.producers.undo = []
        self._gather, self._parts = [], []
        written = self.written_offset
        while self.segments[-1].base_offset > written:
            self.segments.pop().close()
        active = self.segments[-1]
        active.max_timestamp, active.max_timestamp_offset = run.mark
        active.offsets.cut(active.offsets.count_while(written, 0))
        active.times.cut(active.times.count_while(written, 1))
        self.snapshots = [snapshot for snapshot in self.snapshots if snapshot[0] <= written]
        self.leader_epochs.truncate_to(written)
        self.end_offset = written
        self._activate()

    def snapshot_at_written(self) -> bytes:
        """The producer states as of `written_offset`."""
        undo = self.in_flight.undo + self.producers.undo if self.in_flight is not None else self.producers.undo
        return self.producers.encode_snapshot(undo)

    def flush_due(self) -> bool:
        """Whether flush.messages asks for a sync of what is written."""
        return self.written_offset - self.synced_offset >= self.config.flush_messages

    def flush_ms_due(self, now_ms: int) -> bool:
        """Whether flush.ms asks for a sync: something was unsynced that long, as seen from call to call."""
        if self.durable or not self.unsynced or self.config.flush_ms == LONG_MAX:
            self._unsynced_since_ms = None
            return False
        if self._unsynced_since_ms is None:
            self._unsynced_since_ms = now_ms
        return now_ms - self._unsynced_since_ms >= self.config.flush_ms

    def refuse_appends(self, refusal: Refusal | None) -> None:
        """Answer every append by `refusal` until told otherwise (None). An offline log stays so."""
        if not self.offline:
            self._refusal = refusal

    def go_offline(self) -> None:
        """The disk failed: appends are refused for good, and what is gathered is dropped."""
        self._refusal = Refusal(ErrorCode.KAFKA_STORAGE_ERROR)
        self.offline = True
        self._gather, self._parts = [], []
        self.in_flight = None
        self.held = False

    def delete(self) -> None:
        """The partition is gone: appends are refused, readers keep the slices they hold."""
        self._refusal = Refusal(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.deleted = self.offline = True
        self._gather, self._parts = [], []
        self.unsynced.clear()
        if self.in_flight is None:
            self.close()  # else once the worker no longer writes to its files

    def close(self) -> None:
        """Give all handles back."""
        for segment in self.segments:
            segment.close()
