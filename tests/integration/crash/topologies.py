"""Which stores a service under test has: its settings, and how the same stores are opened once it has ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.record_store import RecordStore
from tests.servers.mongo import MongoDatabase

DATABASE = "tandem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A source and a target."""

    name: str
    data_directory: Path
    environment: Mapping[str, str]
    source: Callable[[], RecordStore]
    target: Callable[[], RecordStore]

    def having(self, **settings: str) -> "Topology":
        """The same stores under other settings."""
        return replace(self, environment={**self.environment, **settings})


def monty_to_embedded(data_directory: Path) -> Topology:
    """MontyDB's files to the PostgreSQL server the service starts itself: what `make run` does."""
    topology = monty_to_postgres(data_directory, "embedded")
    return replace(
        topology,
        name="monty to embedded postgres",
        target=lambda: EmbeddedPostgresRecordStore(data_directory / "postgres"),
    )


def monty_to_postgres(data_directory: Path, postgres_url: str) -> Topology:
    """MontyDB's files to a PostgreSQL server of the test's own."""
    return Topology(
        name="monty to postgres",
        data_directory=data_directory,
        environment={
            **_dual(data_directory, source="monty", postgres_url=postgres_url),
            "MONTY_STORAGE": "sqlite",
        },
        source=lambda: MontyRecordStore(data_directory / "monty", database=DATABASE),
        target=lambda: PostgresRecordStore(postgres_url),
    )


def mongo_to_postgres(data_directory: Path, mongo: MongoDatabase, postgres_url: str) -> Topology:
    """A MongoDB replica set to a PostgreSQL server."""
    return Topology(
        name="mongo to postgres",
        data_directory=data_directory,
        environment={
            **_dual(data_directory, source="mongo", postgres_url=postgres_url),
            "MONGODB_URI": mongo.uri,
            "DB_NAME": mongo.name,
        },
        source=lambda: MongoRecordStore(mongo.uri, mongo.name),
        target=lambda: PostgresRecordStore(postgres_url),
    )


def _dual(data_directory: Path, *, source: str, postgres_url: str) -> dict[str, str]:
    return {
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": source,
        "DUAL_WRITE_TARGET": "postgres",
        "POSTGRES_URL": postgres_url,
        "DATA_DIR": str(data_directory),
    }
