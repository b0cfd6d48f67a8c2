"""The settings, the open stores and the actor of a command."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click
from loguru import logger

from application.actor import SYSTEM_ID, Actor, system_actor
from application.ports.schema import Schema
from application.ports.tokens import Identity
from domain.errors import StoreUnavailable
from domain.permissions import Grant
from entrypoints.cli.console import presentable
from entrypoints.cli.running_service import TIMEOUT_SECONDS, RunningService, ServiceClient, find_running
from entrypoints.composition.addresses import EMBEDDED
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.existing import existing, require_readable, require_stored
from entrypoints.composition.installation import has_signing_key, is_remembered, recalled
from entrypoints.composition.settings import Settings, data_dir_of, read_settings, read_variables
from entrypoints.composition.stack_reports import require_own_stores
from entrypoints.composition.variables import InvalidSettings
from entrypoints.composition.waiting import until_available

ENV_FILE = Path(".env")
READ_SECONDS_MAX = 3.0
"""How long a command that only reads may take to reach the service or the stores."""
STORE_WAIT_SECONDS_MAX = 15.0
"""How long a command waits for a store. The service waits for ever."""


def current_settings() -> Settings:
    """The settings of this process, and for what they do not say those of the service that used the data directory.

    Raises InvalidSettings with every violation.
    """
    return read_settings(os.environ, env_file=ENV_FILE, recall=recalled)


def current_data_dir() -> Path:
    """The data directory. Raises InvalidSettings with every violation if .env cannot be read."""
    try:
        return data_dir_of(read_variables(os.environ, env_file=ENV_FILE))
    except InvalidSettings:
        current_settings()  # what else is invalid is reported together
        raise


async def running_service() -> RunningService | None:
    """The service on the data directory, unless the settings name other stores.

    Raises ServiceHangs, and InvalidSettings for a setting that is wrong here; one that is missing the service has.
    """
    service = await find_running(current_data_dir())
    if service is None:
        return None
    try:
        return service if is_remembered(current_settings()) else None
    except InvalidSettings as invalid:
        given = read_variables(os.environ, env_file=ENV_FILE)
        if any(given.get(violation.variable, "").strip() for violation in invalid.violations):
            raise
        return service


async def service_client(*, timeout_seconds: float = TIMEOUT_SECONDS) -> ServiceClient | None:
    """A client of the running service; None if there is none. Raises ServiceHangs."""
    service = await running_service()
    if service is None or service.token is None:
        return None
    return ServiceClient(service, token=service.token, timeout_seconds=timeout_seconds)


def client_at(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> ServiceClient:
    """A client of the service at an address, with the keys of these settings, which that service must share.

    Raises UsageError where there are none: new ones would not be those of that service.
    """
    settings = current_settings()
    if not has_signing_key(settings):
        raise click.UsageError(
            f"There is no signing key in {settings.stores.data_dir}, and --url needs that of the service. Name the data"
            " directory of the service with DATA_DIR, or its key with PRIVATE_KEY."
        )
    issuer = build_container(settings).tokens()
    issued = issuer.issue(Identity(SYSTEM_ID, frozenset({str(Grant.ADMIN)})))
    return ServiceClient(RunningService(url), token=issued.access_token, timeout_seconds=timeout_seconds)


@asynccontextmanager
async def opened(
    settings: Settings,
    *,
    creates: bool = False,
    takes_new_target: bool = False,
    within_seconds: float = STORE_WAIT_SECONDS_MAX,
) -> AsyncIterator[Container]:
    """The application with its stores open, for a command that changes records.

    Only a command that `creates` an installation makes stores where there are none, migrates them and claims them; for
    every other one, NothingStored and UnmigratedStore say what to type. One that `takes_new_target` may create a lost
    target alone. Raises StoreUnavailable after a bounded time, StoreRefused at once.
    """
    _only_warnings()
    if not creates:
        settings = await existing(settings, takes_new_target=takes_new_target)
    container = build_container(settings)
    stack = container.stack()
    try:
        await stack.open(within_seconds=within_seconds, creates=creates)
        yield container
    finally:
        await stack.close()


@asynccontextmanager
async def inspected(settings: Settings) -> AsyncIterator[Container]:
    """The application with its stores open only to be read: nothing is created, migrated or claimed.

    Raises StoreUnavailable and StoreRefused within READ_SECONDS_MAX.
    """
    logger.remove()  # the command itself says what it found
    container = build_container(settings)
    stack = container.stack()
    try:
        await require_readable(stack, await stack.inspect())
        yield container
    finally:
        await stack.close()


@asynccontextmanager
async def schema_of(settings: Settings, *, creates: bool = False) -> AsyncIterator[Schema]:
    """The schema of every store in use. The stores are opened at whatever schema they have; nothing is migrated.

    Raises StoreUnavailable after a bounded time, StoreRefused for stores that do not belong to this installation, and
    unless the command `creates` stores, NothingStored where there are none.
    """
    await require_stores_free(purpose="migrate")
    if not creates:
        await require_stored(settings)
    _only_warnings()
    stack = build_container(settings).stack()
    async with AsyncExitStack() as opened_stores:
        for store in stack.raw_stores:
            opened_stores.push_async_callback(store.close)
            is_source = store.name == stack.source.name
            seconds = STORE_WAIT_SECONDS_MAX if is_source else READ_SECONDS_MAX
            await until_available(store.open, store_name=store.name, within_seconds=seconds)
        await until_available(
            lambda: require_own_stores(stack),
            store_name=stack.source.name,
            within_seconds=STORE_WAIT_SECONDS_MAX,
        )
        yield stack.schema()


async def require_stores_free(*, purpose: str) -> None:
    """Raises StoreUnavailable, whose message says what to do, while the running service holds embedded stores."""
    service = await running_service()
    if service is not None and has_embedded_store(current_settings()):
        raise StoreUnavailable(
            f"Tandem runs at {service.url} (process {service.pid}), and embedded stores serve one process at a time. "
            f"To stop it, type: kill {service.pid}. Then {purpose}, and start it again: tandem serve"
        )


def has_embedded_store(settings: Settings) -> bool:
    """Whether a store of these settings serves one process alone."""
    stores = settings.stores
    return "monty" in stores.named or ("postgres" in stores.named and stores.postgres_url == EMBEDDED)


def operator(container: Container) -> Actor:
    """The actor of a command: the system, with a new request id."""
    return system_actor(f"cli-{container.identifiers().fresh()}")


def _only_warnings() -> None:
    """Logs warnings only, so that they do not hide the output of the command."""
    logger.remove()
    logger.add(_write_error, level="WARNING", format="{message}", backtrace=False, diagnose=False)


def _write_error(line: str) -> None:
    # The stream is looked up for each line, because it may be replaced later.
    sys.stderr.write(presentable(line))
