"""The settings, the open stores and the actor of a command."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from loguru import logger

from application.actor import Actor, system_actor
from application.ports.schema import Schema
from domain.errors import StoreUnavailable
from entrypoints.cli.running_service import service_holding_stores
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.settings import Settings, read_settings
from entrypoints.composition.waiting import until_available

ENV_FILE = Path(".env")
STORE_WAIT_SECONDS_MAX = 15.0
"""How long a command waits for a store. The service waits for ever."""


def current_settings() -> Settings:
    """The settings of this process. Raises InvalidSettings with every violation."""
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
    """The schema of every store in use. The stores are opened at whatever schema they have; nothing is migrated.

    Raises StoreUnavailable after a bounded time, StoreRefused at once.
    """
    await require_stores_free(settings, purpose="migrate")
    _only_warnings()
    stack = build_container(settings).stack()
    async with AsyncExitStack() as opened_stores:
        for store in stack.raw_stores:
            opened_stores.push_async_callback(store.close)
            await until_available(store.open, store_name=store.name, within_seconds=STORE_WAIT_SECONDS_MAX)
        yield stack.schema()


async def require_stores_free(settings: Settings, *, purpose: str) -> None:
    """Raises StoreUnavailable, whose message says what to do, while the running service holds the stores."""
    service = await service_holding_stores(settings)
    if service is not None:
        raise StoreUnavailable(
            f"Tandem runs at {service.url} (process {service.pid}), and embedded stores serve one process at a time. "
            f"Stop it to {purpose}, then start it again."
        )


def operator(container: Container) -> Actor:
    """The actor of a command: the system, with a new request id."""
    return system_actor(f"cli-{container.identifiers().fresh()}")


def _only_warnings() -> None:
    """Logs warnings only, so that they do not hide the output of the command."""
    logger.remove()
    logger.add(_write_error, level="WARNING", format="{message}", backtrace=False, diagnose=False)


def _write_error(line: str) -> None:
    # The stream is looked up for each line, because it may be replaced later.
    sys.stderr.write(line)
