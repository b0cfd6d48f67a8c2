"""The topologies of stores that the service is tested in, each over databases nobody else uses."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest

from tests.servers.directories import open_directory
from tests.servers.mongo import MongoDatabase, MongoServer
from tests.servers.postgres import PostgresServer

SINGLE: Final = ("monty", "mongo", "postgres")
DUAL: Final = "monty-to-postgres"
MODES: Final = (*SINGLE, DUAL)
"""The four store modes."""
OTHER_WAYS: Final = ("mongo-to-postgres", "postgres-to-mongo")
"""Further topologies of source and target."""
MIRRORED_OR_ALONE: Final = (
    *(pytest.param(mode, marks=pytest.mark.torture) for mode in SINGLE),
    *(DUAL, *OTHER_WAYS),
)
"""Every topology. Each store is the source of one that has a target, so those without one belong to the long form."""

# The machine may be busy: a slow answer of a target that works is not what these tests are about.
MIRROR_TIMEOUT_MS: Final = "10000"


@contextmanager
def variables_of(topology: str, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of one topology, its servers started where it needs them; its data is gone afterwards."""
    source, _, target = topology.partition("-to-")
    variables = {"APP_ENV": "test", "LOG_LEVEL": "WARNING", "STORE": source}
    if target:
        dual = {"STORE": "dual", "DUAL_WRITE_SOURCE": source, "DUAL_WRITE_TARGET": target}
        variables |= {**dual, "DUAL_WRITE_TIMEOUT_MS": MIRROR_TIMEOUT_MS}
    with ExitStack() as made:
        variables["DATA_DIR"] = str(made.enter_context(open_directory()))
        if "mongo" in (source, target):
            mongo: MongoServer = request.getfixturevalue("mongo_server")
            database = MongoDatabase(mongo.uri)
            made.callback(database.drop)
            variables |= {"MONGODB_URI": database.uri, "DB_NAME": database.name}
        if "postgres" in (source, target):
            postgres: PostgresServer = request.getfixturevalue("postgres_server")
            variables["POSTGRES_URL"] = postgres.create_prepared_database()
            made.callback(postgres.drop_database, variables["POSTGRES_URL"])
        yield variables
