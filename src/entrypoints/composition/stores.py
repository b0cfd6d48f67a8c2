"""Builds the store stack of the settings: observed(cached(mirrored(source, target)))."""

from collections.abc import Callable

from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.embedded_store import EmbeddedPostgresRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.record_store import RecordStore
from entrypoints.composition.settings import EMBEDDED, StoreSettings


def build_store(name: str, settings: StoreSettings) -> RecordStore:
    """One store by its name; nothing is opened yet."""
    return BUILDERS[name](settings)


def _monty(settings: StoreSettings) -> RecordStore:
    return MontyRecordStore(settings.monty_directory, database=settings.database)


def _mongo(settings: StoreSettings) -> RecordStore:
    return MongoRecordStore(settings.mongodb_uri or "", settings.database)


def _postgres(settings: StoreSettings) -> RecordStore:
    if settings.postgres_url == EMBEDDED:
        return EmbeddedPostgresRecordStore(settings.data_dir / "postgres")
    return PostgresRecordStore(settings.postgres_url or "")


BUILDERS: dict[str, Callable[[StoreSettings], RecordStore]] = {
    "monty": _monty,
    "mongo": _mongo,
    "postgres": _postgres,
}
