"""The backfill under way, in whichever process of the installation."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger

from adapters.migration.backfill_run import (
    BackfillRun,
    begin_run,
    end_run,
    pause_run,
    require_run,
    run_of,
)
from adapters.ownership.process_identity import is_gone
from adapters.records.lanes import Positions
from domain.errors import StoreUnavailable
from entrypoints.composition.store_stack import StoreStack


class RunEnded(Exception):
    """The run of a backfill that this process helps has ended, or this process stops."""


@asynccontextmanager
async def backfill_run(stack: StoreStack, *, is_shared: bool) -> AsyncIterator[BackfillRun]:
    """Shows meanwhile that this process runs a backfill. Raises Conflict if another process does."""
    run = BackfillRun(stack.ownership.me, secrets.token_hex(8), is_shared=is_shared)
    await begin_run(stack.source, await _positions(stack), run, is_gone=is_gone)
    try:
        yield run
    finally:
        await asyncio.shield(_ended(stack, run))


async def run_to_help(stack: StoreStack) -> BackfillRun | None:
    """The backfill of another process that this one may help; None if there is none. Raises StoreUnavailable."""
    run = await run_of(stack.source)
    if run is None or not run.is_shared or run.by == stack.ownership.me:
        return None
    return run if run.is_alive(await _positions(stack), is_gone=is_gone) else None


async def require_run_to_help(stack: StoreStack, run: BackfillRun) -> bool:
    """Whether the backfill is paused. Raises RunEnded once it is not under way, and StoreUnavailable."""
    found = await run_to_help(stack)
    if found is None or found.id != run.id:
        raise RunEnded
    return found.is_paused


async def is_backfill_paused(stack: StoreStack) -> bool:
    """Whether a backfill that is under way was asked to pause. Raises StoreUnavailable."""
    found = await run_of(stack.source)
    return found is not None and found.is_paused and found.is_alive(await _positions(stack), is_gone=is_gone)


async def pause_backfill(stack: StoreStack, *, is_paused: bool) -> None:
    """Pauses the backfill under way, or lets it go on. Raises Conflict where none runs."""
    await pause_run(stack.source, await _positions(stack), is_paused=is_paused, is_gone=is_gone)


async def require_backfill(stack: StoreStack) -> None:
    """Raises Conflict unless a process runs a backfill."""
    await require_run(stack.source, await _positions(stack), is_gone=is_gone)


async def _positions(stack: StoreStack) -> Positions:
    return await stack.direction.raw_source.positions()


async def _ended(stack: StoreStack, run: BackfillRun) -> None:
    try:
        await end_run(stack.source, run)
    except StoreUnavailable as error:
        # Whoever asks sees that the process is gone, or that it begins another one.
        logger.debug("The end of the backfill could not be noted: {}", error.message)
