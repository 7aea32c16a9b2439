"""ApiVersions (API key 18): which APIs and versions a broker serves, and its features. Declarations only."""

from __future__ import annotations

from moldau.core.protocol.schema import array, boolean, int16, int32, int64, message, string, struct


@message("request", 18, "0-4", flexible="3+")
class ApiVersionsRequest:
    """What the client is; the versions it wants to know are the broker's."""

    client_software_name: str = string("3+", ignorable=True)
    client_software_version: str = string("3+", ignorable=True)


@struct
class ApiVersion:
    api_key: int = int16()
    min_version: int = int16()
    max_version: int = int16()


@struct
class SupportedFeatureKey:
    name: str = string("3+")
    min_version: int = int16("3+")
    max_version: int = int16("3+")


@struct
class FinalizedFeatureKey:
    name: str = string("3+")
    max_version_level: int = int16("3+")
    min_version_level: int = int16("3+")


@message("response", 18, "0-4", flexible="3+")
class ApiVersionsResponse:
    """The served ranges. Encoded in version 0 when the request's version is not served."""

    error_code: int = int16()
    api_keys: list[ApiVersion] = array(ApiVersion)
    throttle_time_ms: int = int32("1+", ignorable=True)
    supported_features: list[SupportedFeatureKey] = array(SupportedFeatureKey, "3+", tag=0, ignorable=True)
    finalized_features_epoch: int = int64("3+", default=-1, tag=1, ignorable=True)
    finalized_features: list[FinalizedFeatureKey] = array(FinalizedFeatureKey, "3+", tag=2, ignorable=True)
    zk_migration_ready: bool = boolean("3+", tag=3, ignorable=True)
