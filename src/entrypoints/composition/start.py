"""Starts the application: opens its stores, adds the built-in records, and rewrites old ones."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from loguru import logger
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    stop_never,
    wait_exponential_jitter,
)
from tenacity.stop import stop_base

from application.actor import Actor, system_actor
from domain.errors import MirrorPending, StoreUnavailable
from entrypoints.composition.container import Container
from entrypoints.composition.schema import rewrite_once

R = TypeVar("R")
SEED_WAIT_SECONDS_MAX = 5.0


async def start(container: Container, *, within_seconds: float | None = None) -> None:
    """Opens the stores and adds what every installation has; harmless when that was done before, also elsewhere.

    Waits with back-off while the store is down: raises StoreUnavailable after `within_seconds` (None waits for ever),
    StoreRefused and UnmigratedStore as opening does.
    """
    await container.stack().open(within_seconds=within_seconds)
    await bring_roles(container, within_seconds=within_seconds)
    await _until_answered(lambda: _seed(container, container.seed_labels()), within_seconds)
    if container.settings().stores.auto_migrate:
        # The target may be down; it reads its own old records in today's form.
        await _until_answered(lambda: rewrite_once(container.stack().source), within_seconds)


async def bring_roles(container: Container, *, within_seconds: float | None = None) -> None:
    """Adds the built-in roles that are missing in open stores. Raises StoreUnavailable after `within_seconds`."""
    await _until_answered(lambda: _seed(container, container.seed_roles()), within_seconds)


async def _until_answered(attempt_once: Callable[[], Awaitable[R]], within_seconds: float | None) -> R:
    """Tries until the store answers."""

    async def attempt() -> R:
        # What is handed over must be seen to be a coroutine function; a lambda that makes one would not be awaited.
        return await attempt_once()

    stop: stop_base = stop_never if within_seconds is None else stop_after_delay(within_seconds)
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailable),
        wait=wait_exponential_jitter(multiplier=0.1, max=SEED_WAIT_SECONDS_MAX, jitter=0.5),
        stop=stop,
        reraise=True,
    )
    answer: R = await retrying(attempt)
    return answer


async def _seed(container: Container, seed: Callable[[Actor], Awaitable[None]]) -> None:
    try:
        await seed(system_actor(f"start-{container.identifiers().fresh()}"))
    except MirrorPending:
        logger.info("What every installation has is stored; the second store has not confirmed it yet.")
