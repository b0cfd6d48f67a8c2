"""`tandem config check`: are the settings usable, and what do they mean?"""

import click

from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.session import current_settings
from entrypoints.cli.tree import TandemGroup
from entrypoints.composition.settings import EMBEDDED, Settings, StoreSettings


@click.group(cls=TandemGroup)
def config() -> None:
    """Settings, from the environment and from .env."""


@config.command()
async def check(console: Console) -> ExitCode:
    """Read the settings as a start would; name every fault at once, open nothing."""
    settings = current_settings()
    view = described(settings)
    console.show(view, lambda: console.table(("setting", "meaning"), [*view.items()]))
    return ExitCode.FINE


def described(settings: Settings) -> dict[str, object]:
    """What the settings mean, without any secret."""
    stores = settings.stores
    return {
        "environment": settings.environment.value,
        "stores": stores.kind.value,
        "source": place(stores, stores.source),
        "target": None if stores.target is None else place(stores, stores.target),
        "mode": None if stores.target is None else settings.dual_write.mode.value,
        "dataDirectory": str(stores.data_dir),
        "migratesAtStart": stores.auto_migrate,
        "address": f"http://{settings.http.host}:{settings.http.port}",
        "cache": "memory" if settings.cache_url in (None, "memory") else "redis",
        "signingKeys": "settings" if settings.private_key else "data directory",
        "googleSignIn": settings.google is not None,
        "logs": f"{settings.log_level} {settings.log_format}",
    }


def place(stores: StoreSettings, name: str) -> str:
    """Where one store keeps what it holds, in words and without credentials."""
    if name == "monty":
        where = stores.monty_directory
        return "MontyDB in memory (gone when the process ends)" if where is None else f"MontyDB in {where}"
    if name == "mongo":
        return f"MongoDB, database {stores.database}"
    if stores.postgres_url == EMBEDDED:
        return f"PostgreSQL, embedded, in {stores.data_dir / 'postgres'}"
    return "PostgreSQL, as POSTGRES_URL says"
