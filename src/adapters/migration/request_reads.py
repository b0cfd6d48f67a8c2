"""The request that a read belongs to. Without one, and in every write, reads are answered by the owner."""

from contextvars import ContextVar
from dataclasses import dataclass

from adapters.migration.own_writes import NOTHING_UNCONFIRMED, Unconfirmed


@dataclass(slots=True, eq=False)
class RequestReads:
    """One request. `caller_id` is set while its reads may be routed.

    `read_after` is what the caller said about their writes; None where they said nothing. `unconfirmed` becomes what
    the request itself wrote.
    """

    caller_id: str | None = None
    read_after: Unconfirmed | None = None
    unconfirmed: Unconfirmed = NOTHING_UNCONFIRMED


CURRENT: ContextVar[RequestReads | None] = ContextVar("request_reads", default=None)
