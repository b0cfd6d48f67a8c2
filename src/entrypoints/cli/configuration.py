"""`tandem config check`: checks and shows the settings."""

from dataclasses import replace

import click
from loguru import logger

from domain.errors import TandemError
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import ServiceClient, ServiceHangs, find_running
from entrypoints.cli.session import READ_SECONDS_MAX, current_settings, service_client
from entrypoints.cli.tree import TandemGroup
from entrypoints.composition.addresses import EMBEDDED
from entrypoints.composition.settings import Settings, StoreSettings
from entrypoints.composition.settings_check import Agreement, agreement_of


@click.group(cls=TandemGroup)
def config() -> None:
    """Check the settings in the environment and in .env."""


@config.command()
async def check(console: Console) -> ExitCode:
    """Check the settings and show what they mean. Lists every invalid setting, and reads who owns the writes.

    Exits with 1 if the settings contradict what the stores say of themselves.
    """
    logger.remove()  # what was found is shown
    settings = current_settings()
    agreement = await _agreement(settings)
    view = {**described(settings), "ownership": agreement.message, "remedy": agreement.remedy}
    console.show(view, lambda: console.table(("setting", "value"), [*view.items()]))
    return ExitCode.SUCCESS if agreement.remedy is None else ExitCode.DIFFERENCE


async def _agreement(settings: Settings) -> Agreement:
    """What the running service says of its stores, some of which it holds alone; without one, the stores themselves."""
    try:
        service = await find_running(settings.stores.data_dir)
        client = await service_client(timeout_seconds=READ_SECONDS_MAX)
    except ServiceHangs as error:
        return Agreement(f"Not known. {error.message}")
    if client is not None:
        return await _agreement_with(client)
    found = await agreement_of(settings)
    if service is None:
        return found
    other = f"The service at {service.url} (process {service.pid}) runs with other settings."
    return replace(found, message=f"{other} {found.message}")


async def _agreement_with(client: ServiceClient) -> Agreement:
    runs = f"The service at {client.service.url} (process {client.service.pid}) runs with these settings"
    try:
        metrics = await client.ask("GET", "/v1/sync/metrics")
    except TandemError as error:
        return Agreement(f"{runs}. Which store owns the writes is not known now. {error.message}")
    return Agreement(f"{runs}, and {metrics['source']} owns the writes.")


def described(settings: Settings) -> dict[str, object]:
    """The settings without secrets."""
    stores = settings.stores
    return {
        "environment": settings.environment.value,
        "stores": stores.kind.value,
        "source": location_of(stores, stores.source),
        "target": None if stores.target is None else location_of(stores, stores.target),
        "mode": None if stores.target is None else settings.dual_write.mode.value,
        "dataDirectory": str(stores.data_dir),
        "migratesAtStart": stores.auto_migrate,
        "address": f"http://{settings.http.host}:{settings.http.port}",
        "cache": None if settings.cache_url is None else settings.cache_url.partition(":")[0],
        "signingKeys": "settings" if settings.private_key else "data directory",
        "googleSignIn": settings.google is not None,
        "logs": f"{settings.log_level} {settings.log_format}",
    }


def location_of(stores: StoreSettings, name: str) -> str:
    """Where a store keeps its data, in words and without credentials."""
    if name == "monty":
        where = stores.monty_directory
        return "MontyDB in memory (lost when the process ends)" if where is None else f"MontyDB in {where}"
    if name == "mongo":
        return f"MongoDB, database {stores.database}"
    if stores.postgres_url == EMBEDDED:
        return f"embedded PostgreSQL in {stores.data_dir / 'postgres'}"
    return "PostgreSQL at POSTGRES_URL"
