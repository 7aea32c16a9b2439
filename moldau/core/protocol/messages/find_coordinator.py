"""FindCoordinator (API key 10): which broker coordinates a group or a transaction. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, int8, int16, int32, message, string, struct


@message("request", 10, "0-6", flexible="3+")
class FindCoordinatorRequest:
    """Keys of one type: groups (0), transactions (1), share partitions (2)."""

    key: str = string("0-3")
    key_type: int = int8("1+")
    coordinator_keys: list[str] = array(string(), "4+")


@struct
class Coordinator:
    key: str = string("4+")
    node_id: int = int32("4+", entity="brokerId")
    host: str = string("4+")
    port: int = int32("4+")
    error_code: int = int16("4+")
    error_message: str | None = string("4+", nullable="4+", ignorable=True)


@message("response", 10, "0-6", flexible="3+")
class FindCoordinatorResponse:
    """The coordinators."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16("0-3")
    error_message: str | None = string("1-3", nullable="1-3", ignorable=True)
    node_id: int = int32("0-3", entity="brokerId")
    host: str = string("0-3")
    port: int = int32("0-3")
    coordinators: list[Coordinator] = array(Coordinator, "4+")
