"""Why a Produce request's records are not taken: the slow half of the checks `PartitionLog.append` makes.

Lives here: the refusals for what is wrong with the bytes themselves, in the order Kafka finds them.
Producer sequences are `producers.py`'s. The fast half is one expression in `append`; this runs only when
it says no, and finds out what.
"""

from __future__ import annotations

import google_crc32c

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.files import Buffer
from moldau.core.log.headers import CODEC_LAST, PREFIX
from moldau.core.protocol.batch import (
    CODEC_MASK,
    CONTROL,
    CRC_FROM,
    HEADER,
    HEADER_SIZE,
    LENGTH_FROM,
    MAGIC,
    TRANSACTIONAL,
)

_MAGIC_AT = 16
_MINIMUM_LENGTH = 14


def examine(batch: Buffer, max_bytes: int, segment_bytes: int, *, internal: bool) -> Refusal | int:
    """The size of the one batch in `batch` (fewer than 12 bytes behind it are ignored), or why it is refused."""
    found = one_batch(batch)
    if isinstance(found, Refusal):
        return found
    size = found
    base_offset, _, _, _, crc, attributes, delta, _, _, producer_id, _, sequence, count = HEADER.unpack_from(batch)
    if base_offset != 0 and not internal:
        return _invalid(f"The base offset of a batch in a request is 0, not {base_offset}")
    if size > max_bytes and not internal:
        return Refusal(
            ErrorCode.MESSAGE_TOO_LARGE, f"The batch has {size} bytes; the topic's max.message.bytes is {max_bytes}"
        )
    if google_crc32c.value(bytes(batch[CRC_FROM:size])) != crc:
        return Refusal(ErrorCode.CORRUPT_MESSAGE, "The batch does not match its CRC")
    if count <= 0 or delta != count - 1:
        return _invalid(f"The batch claims {count} records and a last offset delta of {delta}")
    if attributes & CODEC_MASK > CODEC_LAST:
        return Refusal(ErrorCode.UNKNOWN_SERVER_ERROR)
    if not internal:
        if attributes & CONTROL:
            return _invalid("Clients do not write control records")
        if attributes & TRANSACTIONAL:
            return Refusal(ErrorCode.INVALID_TXN_STATE, "Transactions are not served")
    if producer_id >= 0 and sequence < 0:
        return _invalid(f"A batch with a producer id has the sequence {sequence}")
    if size > segment_bytes:
        return Refusal(
            ErrorCode.RECORD_LIST_TOO_LARGE, f"The batch has {size} bytes; the topic's segment.bytes is {segment_bytes}"
        )
    return size


def one_batch(batch: Buffer) -> Refusal | int:
    """The size of the one whole batch of the right format in `batch`; a refusal when there is none, or another."""
    size = _batch_size(batch, 0)
    if isinstance(size, Refusal):
        return size
    if size == 0:
        return _invalid("There is no whole record batch")
    if batch[_MAGIC_AT] != MAGIC:
        return _invalid(f"Only batches of format {MAGIC} are taken, not {batch[_MAGIC_AT]}")
    if size < HEADER_SIZE:
        return Refusal(ErrorCode.CORRUPT_MESSAGE, f"A batch of {size} bytes does not hold its header")
    following = _batch_size(batch, size)
    if isinstance(following, Refusal):
        return following
    if following:
        return _invalid("There is more than one record batch")
    return size


def _batch_size(batch: Buffer, start: int) -> Refusal | int:
    """The size of the batch at `start`; 0 when none is whole there."""
    available = len(batch) - start
    if available < LENGTH_FROM:
        return 0
    _, length = PREFIX.unpack_from(batch, start)
    if length < _MINIMUM_LENGTH:
        text = f"Record size {length} is less than the minimum record overhead ({_MINIMUM_LENGTH})"
        return Refusal(ErrorCode.CORRUPT_MESSAGE, text)
    if available <= _MAGIC_AT:
        return 0
    magic = batch[start + _MAGIC_AT]
    if magic > MAGIC:
        signed = magic - 256 if magic > 127 else magic
        return Refusal(ErrorCode.CORRUPT_MESSAGE, f"Invalid magic found in record: {signed}")
    size: int = length + LENGTH_FROM
    return size if size <= available else 0


def _invalid(message: str) -> Refusal:
    return Refusal(ErrorCode.INVALID_RECORD, message)
