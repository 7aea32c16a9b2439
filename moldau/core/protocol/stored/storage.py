"""What log directories keep beside segments, in message form. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int16, int32, int64, message, struct, uint32


@struct
class ProducerEntry:
    producer_id: int = int64()
    epoch: int = int16()
    last_sequence: int = int32()
    last_offset: int = int64()
    offset_delta: int = int32()
    timestamp: int = int64()
    coordinator_epoch: int = int32()
    current_txn_first_offset: int = int64()


@message("data", -1, "1")
class ProducerSnapshot:
    """The producers of a partition at an offset; an int16 version precedes it, `crc` covers what follows it."""

    crc: int = uint32()
    producer_entries: list[ProducerEntry] = array(ProducerEntry)
