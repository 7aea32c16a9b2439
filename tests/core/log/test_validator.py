"""What Kafka says to records that are not right, in its order."""

from __future__ import annotations

import pytest

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.log.validator import examine
from tests.support.log_batches import Sender, make_batch, with_crc

GOOD = make_batch([b"value"])


def code(batch: bytes, *, max_bytes: int = 10_000, segment_bytes: int = 10_000, internal: bool = False) -> object:
    found = examine(memoryview(batch), max_bytes, segment_bytes, internal=internal)
    return found.code.name if isinstance(found, Refusal) else found


def with_length(length: int) -> bytes:
    return GOOD[:8] + length.to_bytes(4, "big", signed=True) + GOOD[12:]


@pytest.mark.parametrize(
    ("batch", "answer"),
    [
        (GOOD, len(GOOD)),
        (GOOD + bytes(5), len(GOOD)),  # too short to begin another batch
        (b"", "INVALID_RECORD"),
        (GOOD[:11], "INVALID_RECORD"),
        (GOOD[:16], "INVALID_RECORD"),
        (GOOD[:-1], "INVALID_RECORD"),
        (with_length(13), "CORRUPT_MESSAGE"),
        (with_length(-1), "CORRUPT_MESSAGE"),
        (with_length(40), "CORRUPT_MESSAGE"),
        (GOOD + bytes(20), "CORRUPT_MESSAGE"),
        (GOOD + GOOD, "INVALID_RECORD"),
        (GOOD + GOOD[:-1], len(GOOD)),
        (make_batch(magic=3), "CORRUPT_MESSAGE"),
        (make_batch(magic=-1), "CORRUPT_MESSAGE"),
        (make_batch(magic=0), "INVALID_RECORD"),
        (make_batch(magic=1), "INVALID_RECORD"),
        (GOOD[:-1] + b"\xee", "CORRUPT_MESSAGE"),
        (make_batch(base_offset=1), "INVALID_RECORD"),
        (make_batch(count=0), "INVALID_RECORD"),
        (make_batch(count=-1, delta=-2), "INVALID_RECORD"),
        (make_batch(count=2), "INVALID_RECORD"),
        (make_batch(delta=1), "INVALID_RECORD"),
        (make_batch(attributes=5), "UNKNOWN_SERVER_ERROR"),
        (make_batch(attributes=4), len(GOOD)),
        (make_batch(attributes=0x20), "INVALID_RECORD"),
        (make_batch(attributes=0x10), "INVALID_TXN_STATE"),
        (make_batch(attributes=0x40), len(GOOD)),
        (make_batch(sender=Sender(5, 0, -1)), "INVALID_RECORD"),
        (make_batch(sender=Sender(-1, 0, -1)), len(GOOD)),
    ],
)
def test_answers(batch: bytes, answer: object) -> None:
    assert code(batch) == answer


def test_sizes() -> None:
    assert code(GOOD, max_bytes=len(GOOD) - 1) == "MESSAGE_TOO_LARGE"
    assert code(GOOD, segment_bytes=len(GOOD) - 1) == "RECORD_LIST_TOO_LARGE"
    assert code(GOOD, max_bytes=len(GOOD), segment_bytes=len(GOOD)) == len(GOOD)


def test_our_own_batches_may_be_control_batches_and_large() -> None:
    assert code(make_batch(attributes=0x30), internal=True) == len(GOOD)
    assert code(GOOD, max_bytes=1, internal=True) == len(GOOD)
    assert code(make_batch(base_offset=9), internal=True) == len(GOOD)
    assert code(make_batch(count=2), internal=True) == "INVALID_RECORD"


def test_the_texts_name_the_figures() -> None:
    found = examine(with_length(13), 10, 10, internal=False)
    assert found == Refusal(ErrorCode.CORRUPT_MESSAGE, "Record size 13 is less than the minimum record overhead (14)")
    found = examine(make_batch(magic=3), 10, 10, internal=False)
    assert found == Refusal(ErrorCode.CORRUPT_MESSAGE, "Invalid magic found in record: 3")


def test_a_length_that_hides_the_header_is_corrupt() -> None:
    assert code(with_crc(with_length(48))) == "CORRUPT_MESSAGE"
