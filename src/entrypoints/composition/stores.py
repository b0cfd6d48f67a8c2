"""Builds the stores of the settings by name. Drivers are slow to load, so only those in use are loaded."""

from typing import Protocol

from adapters.cache.memory_cache import MemoryCache
from adapters.cache.record_cache import RecordCache
from adapters.records.loading import FilledStore
from adapters.records.raw_reading import RawReader
from entrypoints.composition.addresses import EMBEDDED, MEMORY
from entrypoints.composition.settings import StoreSettings


class CompleteStore(FilledStore, RawReader, Protocol):
    """A store with everything that mirroring and moving need."""


def build_store(name: str, settings: StoreSettings) -> CompleteStore:
    """One store by its name, not opened yet."""
    if name == "monty":
        from adapters.monty.record_store import MontyRecordStore  # noqa: PLC0415

        return MontyRecordStore(settings.monty_directory, database=settings.database)
    if name == "mongo":
        from adapters.mongo.record_store import MongoRecordStore  # noqa: PLC0415

        return MongoRecordStore(settings.mongodb_uri or "", settings.database)
    if settings.postgres_url == EMBEDDED:
        from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore  # noqa: PLC0415

        return EmbeddedPostgresRecordStore(settings.data_dir / "postgres")
    from adapters.postgres.record_store import PostgresRecordStore  # noqa: PLC0415

    return PostgresRecordStore(settings.postgres_url or "")


def scratch_store() -> CompleteStore:
    """A store in memory that ends with whoever uses it."""
    from adapters.monty.record_store import MontyRecordStore  # noqa: PLC0415

    return MontyRecordStore(None)


def build_cache(url: str | None) -> RecordCache | None:
    """The cache of this address; None without one."""
    if url is None:
        return None
    if url == MEMORY:
        return MemoryCache()
    from adapters.cache.redis_cache import RedisCache  # noqa: PLC0415

    return RedisCache(url)
