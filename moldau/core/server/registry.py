"""Which handler serves which API: what is registered here is what is served and advertised.

Codecs are made at first use of an (API, version), so that a start compiles nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from moldau.core.protocol import codec
from moldau.core.protocol.registry import APIS, Api
from moldau.core.protocol.schema import schema_of
from moldau.core.server import handlers

Handler = Callable[[Any, Any, int], Any]
HandlerT = Callable[[Handler], Handler]

FETCH = 1

_HANDLERS: dict[int, Handler] = {}
_BY_REQUEST = {api.request: api for api in APIS.values()}


class Endpoint:
    """One (API, version), ready to serve: decode, handle, encode."""

    __slots__ = (
        "api",
        "decode",
        "encode",
        "encode_chunks",
        "handle",
        "has_error_code",
        "has_error_message",
        "request_flexible",
        "response_flexible",
        "version",
    )

    def __init__(self, api: Api, version: int, handle: Handler) -> None:
        self.api = api
        self.version = version
        self.handle = handle
        self.decode = codec.decoder(api.request, version)
        # Only an answer that can hold records can hold slices of files; all others are plain bytes, and `encode`.
        chunks = api.key == FETCH
        self.encode: Callable[[Any], bytes] | None = None if chunks else codec.encoder(api.response, version)
        self.encode_chunks: Callable[[Any], list[Any]] = codec.chunk_encoder(api.response, version) if chunks else list
        places = {field.name for field in schema_of(api.response).fields if field.versions.covers(version)}
        self.has_error_code = "error_code" in places
        self.has_error_message = "error_message" in places
        self.request_flexible = api.flexible_request(version)
        self.response_flexible = api.flexible_response(version)


def handles(request: type[Any]) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of `request`'s API."""

    def register(handler: Handler) -> Handler:
        key = _BY_REQUEST[request].key
        if key in _HANDLERS:
            raise ValueError(f"two handlers for API {key}")
        _HANDLERS[key] = handler
        return handler

    return register


def load() -> dict[int, Api]:
    """Import every handler file; returns the APIs that are served, by key."""
    for module in pkgutil.iter_modules(handlers.__path__):
        importlib.import_module(f"{handlers.__name__}.{module.name}")
    return {key: APIS[key] for key in sorted(_HANDLERS)}


class Table:
    """Endpoints by `api_key << 16 | version`, made at first use."""

    __slots__ = ("apis", "ready")

    def __init__(self) -> None:
        self.apis = load()
        self.ready: dict[int, Endpoint] = {}

    def resolve(self, key: int, version: int) -> Endpoint | None:
        """The endpoint, or None for an API or version that is not served."""
        api = self.apis.get(key)
        if api is None or not api.speaks(version):
            return None
        endpoint = Endpoint(api, version, _HANDLERS[key])
        self.ready[key << 16 | version] = endpoint
        return endpoint

    def flexible_request(self, key: int, version: int) -> bool:
        """Whether a request of a served API has the flexible header in a version that may not be served."""
        return key in self.apis and self.apis[key].flexible_request(version)
