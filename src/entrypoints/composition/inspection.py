"""Opens a store only to be read, within a time limit."""

import asyncio

from adapters.records.inspectable import inspect
from adapters.records.record_store import RecordStore, StoreRefused
from domain.errors import StoreUnavailable

INSPECT_SECONDS_MAX = 2.0


async def inspected(store: RecordStore) -> StoreUnavailable | StoreRefused | None:
    """Why the store cannot be read; None once it is open."""
    opening = asyncio.ensure_future(inspect(store))
    done, _ = await asyncio.wait({opening}, timeout=INSPECT_SECONDS_MAX)
    if not done:
        opening.cancel()
        return StoreUnavailable(f"{store.name} does not answer within {INSPECT_SECONDS_MAX:.0f} s.")
    try:
        opening.result()
    except (StoreUnavailable, StoreRefused) as error:
        return error
    return None
