"""Starts the application: opens its stores, adds the built-in records, and rewrites old ones."""

from collections.abc import Awaitable, Callable

from loguru import logger

from adapters.ownership.source_side import SourceSide
from adapters.records.lanes import LaneLost
from application.actor import Actor, system_actor
from application.labels import SeedLabels
from application.teams.roles import SeedRoles
from domain.errors import MirrorPending
from entrypoints.composition.container import Container
from entrypoints.composition.failures import WritesRefused
from entrypoints.composition.inspection import require_adopted
from entrypoints.composition.schema import require_rewritten, rewrite_once
from entrypoints.composition.store_stack import StoreStack
from entrypoints.composition.waiting import until_available


async def start(container: Container, *, within_seconds: float | None = None) -> None:
    """Opens the stores and adds the built-in records. Harmless when that was done before, also by another process.

    Waits while the source does not answer: raises StoreUnavailable after `within_seconds` (None waits for ever), and
    StoreRefused and UnmigratedStore as opening does.
    """
    stack = container.stack()
    stack.is_preparing = True
    await stack.open(within_seconds=within_seconds)
    await _available(stack, lambda: require_adopted(stack.source), within_seconds)
    await add_roles(container, within_seconds=within_seconds)
    await _add(container, container.builder().build(SeedLabels), within_seconds)
    if container.settings().stores.auto_migrate and stack.ownership.refusal is None:
        # The target may be down; it reads its own old records in today's form.
        source = stack.ownership
        try:
            await _available(stack, lambda: _rewrite(source), within_seconds)
        except WritesRefused as refused:
            # They are read in today's form.
            logger.error("The old records were not rewritten: {}", refused.message)
    else:
        await _available(stack, lambda: require_rewritten(stack.source), within_seconds)
    stack.is_preparing = False


async def add_roles(container: Container, *, within_seconds: float | None = None) -> None:
    """Adds missing built-in roles to open stores. Raises StoreUnavailable after `within_seconds`."""
    await _add(container, container.builder().build(SeedRoles), within_seconds)


async def _rewrite(source: SourceSide) -> None:
    """Raises WritesRefused while the gate is closed, and LaneLost once the process has entered again."""
    source.require_open()
    try:
        await rewrite_once(source.store)
    except LaneLost:
        await source.enter_again()
        raise


async def _add(
    container: Container, seed: Callable[[Actor], Awaitable[None]], within_seconds: float | None
) -> None:
    actor = system_actor(f"start-{container.identifiers().fresh()}")
    stack = container.stack()
    try:
        await _available(stack, lambda: seed(actor), within_seconds)
    except WritesRefused as refused:
        # Reads go on.
        logger.error("The built-in records were not looked after: {}", refused.message)
    except MirrorPending:
        logger.info(
            "The built-in records are stored in {}; the target has not confirmed them yet.", stack.source.name
        )


async def _available(
    stack: StoreStack, call: Callable[[], Awaitable[None]], within_seconds: float | None
) -> None:
    """Repeats a call while the source does not answer; its health says why meanwhile. Raises WritesRefused at once."""
    try:
        await until_available(
            call,
            store_name=stack.source.name,
            within_seconds=within_seconds,
            unless=WritesRefused,
            on_failure=stack.note_cause,
        )
    finally:
        stack.note_cause(None)
