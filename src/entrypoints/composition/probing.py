"""Looks at a store beside whatever this process has open of it, and closes it again. Nothing is created or changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from entrypoints.composition.inspection import Problem, inspected
from entrypoints.composition.settings import StoreSettings
from entrypoints.composition.stores import CompleteStore, build_store


@asynccontextmanager
async def probed(settings: StoreSettings, name: str) -> AsyncIterator[tuple[CompleteStore, Problem | None]]:
    """The store of this name as these settings reach it, and why it cannot be read; None if it is open."""
    # A store that was only opened to be read cannot be opened again, so this is another one.
    store = build_store(name, settings)
    try:
        yield store, await inspected(store)
    finally:
        await store.close()


async def require_readable_at(settings: StoreSettings, name: str) -> None:
    """Raises StoreUnavailable and StoreRefused for a store that cannot be read."""
    async with probed(settings, name) as (_, problem):
        if problem is not None:
            raise problem
