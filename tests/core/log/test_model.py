"""Random lives of a log directory on a disk that forgets and tears: nothing synced is lost, nothing torn is served."""

from __future__ import annotations

import struct

import google_crc32c
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from moldau.core.base.errors import Refusal
from moldau.core.log.config import PAGE_CACHE, SYNCED, DirectoryConfig, LogConfig
from moldau.core.log.producers import Duplicate
from moldau.core.protocol.batch import HEADER
from tests.support.log_batches import TIMESTAMP, Sender, make_batch
from tests.support.log_rig import Rig, append

TOPICS = ("orders", "bills")
PRODUCER = 7


class LogLife(RuleBasedStateMachine):
    """`expected` holds each topic's batches by base offset as they were appended; a crash may take its unsynced end."""

    @initialize(durable=st.booleans(), method=st.sampled_from(["auto", "fdatasync", "syncfs"]), eager=st.booleans())
    def begin(self, durable: bool, method: str, eager: bool) -> None:
        self.topic_config = LogConfig(
            segment_bytes=900,
            index_interval_bytes=300,
            segment_index_bytes=64,
            durability=SYNCED if durable else PAGE_CACHE,
        )
        config = DirectoryConfig(
            sync_method=method,
            inline_write_bytes=600,
            checkpoint_bytes=1500,
            checkpoint_batch_bytes=0,
            recovery_checkpoint_bytes=4000,
            unsynced_bytes_max=5000,
        )
        self.expected: dict[str, dict[int, bytes]] = {topic: {} for topic in TOPICS}
        self.sequences = dict.fromkeys(TOPICS, 0)
        self.epoch = 1
        self.rig = Rig(config, self.topic_config)
        self.rig.eager = eager

    def log_of(self, topic: str):  # type: ignore[no-untyped-def]
        return self.rig.log(topic, config=self.topic_config)

    @rule(topic=st.sampled_from(TOPICS), sizes=st.lists(st.integers(0, 200), min_size=1, max_size=4))
    def append_plain(self, topic: str, sizes: list[int]) -> None:
        log = self.log_of(topic)
        values = [bytes([n]) * size for n, size in enumerate(sizes)]
        offset = append(log, values, self.epoch, timestamp=TIMESTAMP + log.end_offset)
        self.expected[topic][offset] = make_batch(values, timestamp=TIMESTAMP + offset)

    @rule(topic=st.sampled_from(TOPICS), count=st.integers(1, 3))
    def append_idempotent(self, topic: str, count: int) -> None:
        log = self.log_of(topic)
        sender = Sender(PRODUCER, 0, self.sequences[topic])
        batch = make_batch([b"i"] * count, timestamp=TIMESTAMP + log.end_offset, sender=sender)
        offset = log.append(batch, self.epoch)
        assert isinstance(offset, int), offset
        self.expected[topic][offset] = batch
        self.sequences[topic] += count

    @rule(topic=st.sampled_from(TOPICS))
    def retry_is_a_duplicate(self, topic: str) -> None:
        log = self.log_of(topic)
        for offset, batch in reversed(self.expected[topic].items()):
            if HEADER.unpack_from(batch)[9] == PRODUCER and offset >= log.start_offset:
                verdict = log.append(batch, self.epoch)
                assert isinstance(verdict, Duplicate), verdict
                assert verdict.base_offset == offset
                return

    @rule()
    def turn(self) -> None:
        self.rig.turn()

    @rule(worker=st.sampled_from(["write", "sync", "background", "chores"]), count=st.integers(1, 3))
    def work(self, worker: str, count: int) -> None:
        getattr(self.rig, worker).run(count)

    @rule()
    def settle(self) -> None:
        self.rig.settle()
        for topic in TOPICS:
            log = self.log_of(topic)
            assert log.written_offset == log.end_offset
            if log.durable:
                assert log.synced_offset == log.end_offset

    @rule()
    def full_disk(self) -> None:
        """Room for a part of what is gathered only."""
        self.rig.disk.capacity = sum(len(node.content) for node in self.rig.disk._names.values()) + 100
        self.rig.turn()
        self.rig.write.run()
        self.rig.disk.capacity = None
        self.forget_what_failed()

    def forget_what_failed(self) -> None:
        for topic in TOPICS:
            log = self.log_of(topic)
            self.forget_behind(topic, log.end_offset)

    def forget_behind(self, topic: str, end: int) -> None:
        kept = {
            offset: batch
            for offset, batch in self.expected[topic].items()
            if offset + HEADER.unpack_from(batch)[12] <= end
        }
        self.expected[topic] = kept
        sequences = [HEADER.unpack_from(batch) for batch in kept.values()]
        self.sequences[topic] = max(
            (header[11] + header[12] for header in sequences if header[9] == PRODUCER), default=0
        )

    @rule(topic=st.sampled_from(TOPICS), share=st.floats(0, 1))
    def shorten_beginning(self, topic: str, share: float) -> None:
        log = self.log_of(topic)
        offset = log.start_offset + int((log.written_offset - log.start_offset) * share)
        log.advance_start_offset(offset)
        self.rig.directory.write_checkpoints()

    @rule(topic=st.sampled_from(TOPICS), share=st.floats(0, 1))
    def cut_end(self, topic: str, share: float) -> None:
        self.rig.settle()
        log = self.log_of(topic)
        log.truncate_to(log.start_offset + int((log.end_offset - log.start_offset) * share))
        self.forget_behind(topic, log.end_offset)

    @rule()
    def kill(self) -> None:
        written = {topic: self.log_of(topic).written_offset for topic in TOPICS}
        self.rig.kill()
        self.epoch += 1
        for topic in TOPICS:
            log = self.log_of(topic)
            assert log.end_offset >= written[topic]
            self.forget_behind(topic, log.end_offset)

    @rule(seed=st.one_of(st.none(), st.integers(0, 1 << 30)))
    def lose_power(self, seed: int | None) -> None:
        synced = {topic: self.log_of(topic).synced_offset for topic in TOPICS}
        self.rig.crash(seed)
        self.epoch += 1
        for topic in TOPICS:
            log = self.log_of(topic)
            assert log.end_offset >= synced[topic], f"{topic}: {log.end_offset} < {synced[topic]}"
            if log.durable:
                assert log.synced_offset == log.end_offset
            self.forget_behind(topic, log.end_offset)

    @rule()
    def restart(self) -> None:
        self.rig.shut_down()
        self.rig.open()
        self.epoch += 1
        assert self.rig.directory.clean
        for topic in TOPICS:
            log = self.log_of(topic)
            assert log.end_offset == log.synced_offset
            self.forget_behind(topic, log.end_offset)

    @precondition(lambda self: hasattr(self, "rig"))
    @invariant()
    def what_is_written_is_what_was_appended(self) -> None:
        for topic in TOPICS:
            log = self.log_of(topic)
            assert log.synced_offset <= log.written_offset <= log.end_offset
            batches = list(log.batches(log.start_offset, log.written_offset))
            found = {}
            for batch in batches:
                header = HEADER.unpack_from(batch)
                assert header[4] == google_crc32c.value(batch[21:])
                found[header[0]] = batch[17:]
            wanted = {
                offset: batch[17:]
                for offset, batch in self.expected[topic].items()
                if offset < log.written_offset and offset + HEADER.unpack_from(batch)[12] > log.start_offset
            }
            assert found == wanted
            if batches and log.start_offset in found:
                assert log.offset_for_timestamp(TIMESTAMP, log.written_offset) is not None

    @precondition(lambda self: hasattr(self, "rig"))
    @invariant()
    def every_offset_is_found(self) -> None:
        for topic in TOPICS:
            log = self.log_of(topic)
            upto = log.synced_offset
            for offset in range(log.start_offset, upto, 3):
                piece = log.read(offset, 1, upto=upto, at_least_one=True)
                assert piece is not None
                assert not isinstance(piece, Refusal)
                base, length = struct.unpack_from(">qi", piece.read())
                header = HEADER.unpack_from(piece.read())
                assert base <= offset <= base + header[6]
                assert len(piece) == length + 12
                piece.release()
                found = log.offset_for_timestamp(TIMESTAMP + base, upto)
                assert found is not None
                assert found.timestamp >= TIMESTAMP + base


TestLogLife = LogLife.TestCase
TestLogLife.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
