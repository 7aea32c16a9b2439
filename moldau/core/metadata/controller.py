"""The active controller: decides over the newest image, and answers when what it decided is committed (D4).

    request -> decide over `latest` -> append -> replay into the next `latest` -> ... synced -> publish `image`, answer

`latest` is what was appended, `image` what is committed; both are immutable, so taking back an append that failed is
going back to the image before it: the same as loading what the log still holds, without reading it. An answer
that changes nothing still waits for what it was decided over.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from moldau.core.base.clock import Clock
from moldau.core.base.errors import CorruptData, ErrorCode, Refusal, StorageError
from moldau.core.base.pending import Pending
from moldau.core.metadata import brokers, creation, features, producer_ids, records, topics
from moldau.core.metadata.brokers import Registration
from moldau.core.metadata.configs import not_acted_on
from moldau.core.metadata.creation import Answers, Created, Defaults, NewTopic, RandomBytes
from moldau.core.metadata.decision import Decision, Record
from moldau.core.metadata.image import ClusterImage
from moldau.core.metadata.loader import Loader, dump
from moldau.core.metadata.topics import Deletion, DoomedTopic
from moldau.core.protocol.stored.metadata import AbortTransactionRecord
from moldau.core.quorum.driver import QuorumDriver
from moldau.core.quorum.snapshot import SnapshotId

log = logging.getLogger("moldau.metadata")

A = TypeVar("A")

# Called with the new and the old committed image.
ImageListener = Callable[[ClusterImage, ClusterImage], None]

# A creation or deletion without a timeout of its own waits this long for its commit.
WAIT_MS = 30_000


class ControllerSettings(NamedTuple):
    """What a controller is told. `bootstrap`: what a cluster without any metadata begins with."""

    cluster_id: str
    defaults: Defaults
    internal_topics: Mapping[str, NewTopic]
    bootstrap: Sequence[Record] = ()


class _Waiting(NamedTuple):
    """An answer that waits for `end` to be committed; `deadline_ms` is monotonic."""

    end: int
    deadline_ms: int
    answer: Callable[[], None]
    refuse: Callable[[Refusal], None]


class _Appended(NamedTuple):
    """The image as it will be when `end` is committed."""

    end: int
    image: ClusterImage


class Controller:
    """Metadata's only writer on this node. Not for several threads."""

    def __init__(
        self,
        quorum: QuorumDriver,
        settings: ControllerSettings,
        clock: Clock,
        random: RandomBytes,
    ) -> None:
        self._quorum = quorum
        self._settings = settings
        self._clock = clock
        self._random = random
        self.image = ClusterImage(cluster_id=settings.cluster_id)
        self.on_image: list[ImageListener] = []
        self._latest = self.image
        self._appended: deque[_Appended] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._active = False
        self.broker_id = -1
        self.broker_epoch = -1

    # --- start ---------------------------------------------------------------------------------------------------

    def start(self, registration: Registration) -> Pending[Refusal | bool]:
        """Load, lead, register this broker and take over what it led. True when all of that is committed.

        Raises StorageError for metadata that cannot be carried on.
        """
        loader = Loader(self.image)
        try:
            for entry in self._quorum.recover():
                values = [records.decode(value) for value in entry.values]
                loader.replay(values, entry.last_offset, entry.epoch, entry.timestamp_ms)
            abandoned = loader.in_transaction
            self._latest = loader.image()
        except CorruptData as error:
            raise StorageError(f"the metadata log cannot be replayed: {error}") from error
        problem = features.format_problem(self._latest)
        if problem is not None:
            raise StorageError(problem)
        # What is stored counts as appended: it is published with the epoch that begins now.
        self._appended.append(_Appended(self._quorum.end_offset, self._latest))
        self._quorum.lead(self)
        self._active = True
        return self._register(registration, abandoned=abandoned)

    def _register(self, registration: Registration, *, abandoned: bool) -> Pending[Refusal | bool]:
        pending: Pending[Refusal | bool] = Pending()
        opening: list[Decision[None]] = []
        if abandoned:
            opening.append(Decision([AbortTransactionRecord(reason="the controller restarted")], None))
        if features.METADATA_VERSION not in self._latest.features:
            opening.append(Decision(list(self._settings.bootstrap), None))
        outcome: Refusal | None = None
        for step in opening:
            outcome = outcome or self._append(step.records)
        if outcome is None:
            decision = brokers.decide_registration(registration, self._quorum.end_offset)
            self.broker_id, self.broker_epoch = registration.broker_id, decision.answer
            outcome = self._append(decision.records)
        for claim in brokers.decide_claims(self._latest, registration.broker_id):
            outcome = outcome or self._append(claim.records)
        if outcome is not None:
            pending.complete(outcome)
        else:
            self._wait(lambda: pending.complete(True), pending.complete, WAIT_MS)
        return pending

    # --- what it is asked ------------------------------------------------------------------------------------------

    def create_topics(
        self, wanted: Sequence[NewTopic], *, validate_only: bool = False, timeout_ms: int = WAIT_MS
    ) -> Pending[Answers | Refusal]:
        """Create topics; each name gets what was made, or a refusal of its own."""
        if timeout_ms <= 0:
            return _done(Refusal(ErrorCode.REQUEST_TIMED_OUT))
        decision = creation.decide_creation(self._latest, wanted, self._settings.defaults, self._random)
        if validate_only:
            decision = Decision([], decision.answer)
        return self._submit(decision, timeout_ms, _say_what_is_not_acted_on)

    def delete_topics(
        self, doomed: Sequence[DoomedTopic], *, timeout_ms: int = WAIT_MS
    ) -> Pending[list[Deletion] | Refusal]:
        """Delete topics by name or id."""
        if timeout_ms <= 0:
            return _done(Refusal(ErrorCode.REQUEST_TIMED_OUT))
        return self._submit(topics.decide_deletion(self._latest, doomed), timeout_ms)

    def ensure_topic(self, name: str) -> Pending[Refusal | bool]:
        """Make a topic with the broker's defaults, or an internal one as it must be, unless it exists.

        True when it exists and is committed; a refusal when it cannot be made.
        """
        answer: Pending[Refusal | bool] = Pending()

        def created(outcome: Answers | Refusal) -> None:
            made = outcome if isinstance(outcome, Refusal) else outcome[name]
            exists = isinstance(made, Created) or made.code == ErrorCode.TOPIC_ALREADY_EXISTS
            answer.complete(True if exists else made)  # type: ignore[arg-type]

        self.ensure_topics([name]).then(created)
        return answer

    def ensure_topics(self, names: Sequence[str]) -> Pending[Answers | Refusal]:
        """Like `ensure_topic`, for several names in one decision: each gets what was made, or why not."""
        return self.create_topics([self._automatic(name) for name in names])

    def allocate_producer_ids(self) -> Pending[range | Refusal]:
        """The next block of producer ids for this broker."""
        return self._submit(producer_ids.decide_block(self._latest, self.broker_id, self.broker_epoch), WAIT_MS)

    def tick(self) -> None:
        """Answer REQUEST_TIMED_OUT where a commit took too long; it may still come. To be called now and then."""
        now = self._clock.monotonic_ms()
        late = [waiting for waiting in self._waiting if waiting.deadline_ms <= now]
        if late:
            self._waiting = deque(waiting for waiting in self._waiting if waiting.deadline_ms > now)
            for waiting in late:
                waiting.refuse(Refusal(ErrorCode.REQUEST_TIMED_OUT))

    def _automatic(self, name: str) -> NewTopic:
        """An internal topic's replication factor is capped at the brokers there are."""
        internal = self._settings.internal_topics.get(name)
        if internal is None:
            return NewTopic(name)
        live = len(self._latest.live_brokers())
        return internal._replace(replication_factor=max(1, min(internal.replication_factor, live)))

    # --- decide, append, replay ------------------------------------------------------------------------------------

    def _submit(
        self, decision: Decision[A], timeout_ms: int, then: Callable[[A], None] | None = None
    ) -> Pending[A | Refusal]:
        pending: Pending[A | Refusal] = Pending()
        outcome = self._append(decision.records) if decision.records else None
        if outcome is not None:
            pending.complete(outcome)
            return pending

        def answer() -> None:
            if then is not None and decision.records:
                then(decision.answer)
            pending.complete(decision.answer)

        self._wait(answer, pending.complete, timeout_ms)
        return pending

    def _append(self, new: Sequence[Record]) -> Refusal | None:
        """Append records that take effect together, and replay them."""
        if not self._active:
            return Refusal(ErrorCode.NOT_CONTROLLER, "the controller is starting")
        end = self._quorum.append([records.encode(record) for record in new])
        if isinstance(end, Refusal):
            return end
        loader = Loader(self._latest)
        loader.replay(new, end - 1, self._quorum.epoch, self._clock.wall_ms())
        self._latest = loader.image()
        self._appended.append(_Appended(end, self._latest))
        return None

    def _wait(self, answer: Callable[[], None], refuse: Callable[[Refusal], None], timeout_ms: int) -> None:
        """Answer when all that was appended by now is committed: at once if it is."""
        if not self._appended:
            answer()
            return
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        self._waiting.append(_Waiting(self._appended[-1].end, deadline_ms, answer, refuse))

    # --- what the quorum says --------------------------------------------------------------------------------------

    def committed(self, offset: int) -> None:
        """Publish the image as of `offset`, then answer those who waited for it."""
        newest: ClusterImage | None = None
        while self._appended and self._appended[0].end <= offset:
            newest = self._appended.popleft().image
        if newest is not None:
            old, self.image = self.image, newest
            for listener in self.on_image:
                listener(newest, old)
        while self._waiting and self._waiting[0].end <= offset:
            self._waiting.popleft().answer()
        if self._quorum.snapshot_due:
            self._take_snapshot()

    def failed(self, end_offset: int) -> None:
        """Go back to what the log still holds, and refuse those who waited for more."""
        while self._appended and self._appended[-1].end > end_offset:
            self._appended.pop()
        self._latest = self._appended[-1].image if self._appended else self.image
        refused = [waiting for waiting in self._waiting if waiting.end > end_offset]
        self._waiting = deque(waiting for waiting in self._waiting if waiting.end <= end_offset)
        for waiting in refused:
            waiting.refuse(Refusal(ErrorCode.KAFKA_STORAGE_ERROR, "the metadata log could not be written"))

    def _take_snapshot(self) -> None:
        image = self.image
        values = (records.encode(record) for record in dump(image))
        self._quorum.take_snapshot(SnapshotId(image.offset + 1, image.epoch), values, image.timestamp_ms)


def _done(answer: A) -> Pending[A]:
    pending: Pending[A] = Pending()
    pending.complete(answer)
    return pending


def _say_what_is_not_acted_on(answers: Answers) -> None:
    for name, made in answers.items():
        idle = not_acted_on(made.configs) if isinstance(made, Created) else []
        if idle:
            log.warning("topic %s: accepted but not acted on in this release: %s", name, ", ".join(idle))
