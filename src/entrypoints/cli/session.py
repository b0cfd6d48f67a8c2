"""What a command needs before it can work: settings, open stores, and its own name in the audit trail."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from loguru import logger
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from application.actor import Actor, system_actor
from application.ports.schema import Schema
from domain.errors import StoreUnavailable
from entrypoints.cli.running_service import service_in_the_way
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.settings import Settings, read_settings

ENV_FILE = Path(".env")
STORE_WAIT_SECONDS_MAX = 15.0
"""How long a command waits for a store that does not answer; the service waits for ever."""


def current_settings() -> Settings:
    """The settings of this process. Raises SettingsFaulty with every fault."""
    return read_settings(os.environ, env_file=ENV_FILE)


@asynccontextmanager
async def opened(
    settings: Settings, *, within_seconds: float = STORE_WAIT_SECONDS_MAX
) -> AsyncIterator[Container]:
    """The application with its stores open. Raises StoreUnavailable after a bounded time, StoreRefused at once."""
    _only_warnings()
    container = build_container(settings)
    stack = container.stack()
    try:
        await stack.open(within_seconds=within_seconds)
        yield container
    finally:
        await stack.close()


@asynccontextmanager
async def schema_of(settings: Settings) -> AsyncIterator[Schema]:
    """The schema of every store in use, each opened as it is: nothing is migrated on the way, nothing refused for it.

    Raises StoreUnavailable after a bounded time, StoreRefused at once.
    """
    await require_stores_free(settings, purpose="migrate")
    _only_warnings()
    stack = build_container(settings).stack()
    async with AsyncExitStack() as opened_stores:
        for store in stack.raw_stores:
            opened_stores.push_async_callback(store.close)
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(StoreUnavailable),
                wait=wait_exponential_jitter(multiplier=0.1, max=2.0, jitter=0.5),
                stop=stop_after_delay(STORE_WAIT_SECONDS_MAX),
                reraise=True,
            ):
                with attempt:
                    await store.open()
        yield stack.schema()


async def require_stores_free(settings: Settings, *, purpose: str) -> None:
    """Raises StoreUnavailable where the running service alone can use the stores, and says what to do."""
    service = await service_in_the_way(settings)
    if service is not None:
        raise StoreUnavailable(
            f"Tandem runs at {service.url} (process {service.pid}), and embedded stores serve one process at a time. "
            f"Stop it to {purpose}, then start it again."
        )


def operator(container: Container) -> Actor:
    """The actor of a command: Tandem itself, under a request id of its own."""
    return system_actor(f"cli-{container.identifiers().fresh()}")


def _only_warnings() -> None:
    """Beside the answer of a command only warnings are worth a line."""
    logger.remove()
    logger.add(_to_standard_error, level="WARNING", format="{message}", backtrace=False, diagnose=False)


def _to_standard_error(line: str) -> None:
    sys.stderr.write(line)
