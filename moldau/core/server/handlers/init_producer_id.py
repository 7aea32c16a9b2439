"""InitProducerId v0-5: ids for idempotent producers.

Deviations: transactions are not served yet. A transactional id is refused with
TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which clients take as final, and the log says why.
"""

from __future__ import annotations

import logging

from moldau.core.base.errors import ErrorCode, Refusal
from moldau.core.base.pending import Pending
from moldau.core.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from moldau.core.server.context import Context
from moldau.core.server.registry import handles

log = logging.getLogger("moldau.server")

NONE = -1  # no producer id, no epoch


@handles(InitProducerIdRequest)
def init_producer_id(
    ctx: Context, request: InitProducerIdRequest, version: int
) -> InitProducerIdResponse | Pending[InitProducerIdResponse]:
    if request.transactional_id is not None:
        if not request.transactional_id:
            return _refused(ErrorCode.INVALID_REQUEST)
        log.warning(
            "client %s asked for transactions (transactional.id %s): this release does not serve them, so it is "
            "refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which clients do not retry",
            ctx.client_id,
            request.transactional_id,
        )
        return _refused(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    if (request.producer_id == NONE) != (request.producer_epoch == NONE):
        return _refused(ErrorCode.INVALID_REQUEST)
    answer: Pending[InitProducerIdResponse] = Pending()

    def given(producer_id: int | Refusal) -> None:
        if isinstance(producer_id, Refusal):
            # Clients try again after this one, whatever kept the controller from handing out ids.
            answer.complete(_refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS))
        else:
            answer.complete(InitProducerIdResponse(producer_id=producer_id, producer_epoch=0))

    ctx.services.producer_ids.next().then(given)
    return answer


def _refused(code: ErrorCode) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=code, producer_epoch=NONE)
