"""ApiVersions v0-4. v3: the client says what it is; features. v4: features whose lowest level is 0 (KIP-1022).

Only what is served is advertised. Produce is advertised from version 0 though served from 3: old librdkafka
switches compression off otherwise (KAFKA-18659). A version that is not served is answered by the session.
"""

from __future__ import annotations

import re

from moldau.core.base.errors import ErrorCode
from moldau.core.metadata.features import SUPPORTED
from moldau.core.protocol.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
SOFTWARE_SINCE = 3
ZERO_LEVELS_SINCE = 4


@handles(ApiVersionsRequest)
def api_versions(ctx: Context, request: ApiVersionsRequest, version: int) -> ApiVersionsResponse:
    if version >= SOFTWARE_SINCE:
        software = (request.client_software_name, request.client_software_version)
        if not all(SOFTWARE.fullmatch(text) for text in software):
            return ApiVersionsResponse(ErrorCode.INVALID_REQUEST)
        ctx.client_software = software
    keys = [ApiVersion(api.key, api.advertised_min, api.max_version) for api in ctx.services.apis.values()]
    response = ApiVersionsResponse(ErrorCode.NONE, keys)
    if version >= SOFTWARE_SINCE:
        image = ctx.image
        response.supported_features = [
            SupportedFeatureKey(name, low, high)
            for name, (low, high) in SUPPORTED.items()
            if low > 0 or version >= ZERO_LEVELS_SINCE
        ]
        response.finalized_features_epoch = image.offset
        response.finalized_features = [
            FinalizedFeatureKey(name, level, level)
            for name, level in sorted(image.features.items())
            if level > 0 and name in SUPPORTED  # a directory of Apache Kafka's has features that we do not serve
        ]
    return response
