"""InitProducerId (API key 22): a producer id and its epoch. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import boolean, int16, int32, int64, message, string


@message("request", 22, "0-6", flexible="2+")
class InitProducerIdRequest:
    """A plain idempotent producer, or a transactional one by its id."""

    transactional_id: str | None = string(nullable="0+", entity="transactionalId")
    transaction_timeout_ms: int = int32()
    producer_id: int = int64("3+", default=-1, entity="producerId")
    producer_epoch: int = int16("3+", default=-1)
    enable2_pc: bool = boolean("6+")
    keep_prepared_txn: bool = boolean("6+")


@message("response", 22, "0-6", flexible="2+")
class InitProducerIdResponse:
    """The id and epoch to produce with."""

    throttle_time_ms: int = int32(ignorable=True)
    error_code: int = int16()
    producer_id: int = int64(default=-1, entity="producerId")
    producer_epoch: int = int16()
    ongoing_txn_producer_id: int = int64("6+", default=-1, entity="producerId")
    ongoing_txn_producer_epoch: int = int16("6+", default=-1)
