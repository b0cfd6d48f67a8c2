"""Databases and settings that modules share; which tests run in the same worker process, and which begin first."""

import re
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from xdist.scheduler import LoadScopeScheduling

from adapters.postgres.record_store import PostgresRecordStore
from tests.servers.mongo import MongoDatabase, MongoServer
from tests.servers.postgres import PostgresServer
from tests.servers.tables import PreparedDatabase, prepared_database

STORES: Final = re.compile(
    r"(?<=[\[-])(monty-to-postgres|mongo-to-postgres|postgres-to-mongo|memory|monty|mongo|postgres)(?=[-\]])"
)
"""The stores in the parameters of a test."""
SHARES_NOTHING: Final = re.compile(
    r"^tests/integration/(crash/|lab/|cli/test_start|journeys/test_a_new_team)"
)
JOURNEYS: Final = re.compile(r"^tests/integration/journeys/(?!test_interface_model|test_permission_table)")
"""Their tests share one service for each choice of stores."""
LONGEST_FIRST: Final = (
    "test_move_under_faults",
    "test_service_killed", "test_worker_killed", "test_killed_before_the_answer", "test_idempotency_races",
    "test_mongo_record_store", "test_cut_over", "test_recovery", "test_permission_table", "test_mirrored_record_store",
    "test_a_new_team", "test_interface_model", "test_ownership", "test_request_bounds",
)  # fmt: skip
"""Modules whose tests take longest, or wait: begun last, they would keep the other workers waiting at the end."""


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[PreparedDatabase]:
    """Shared by the tests of a module; each of them finds it empty."""
    with prepared_database(postgres_server) as prepared:
        yield prepared


@pytest.fixture
async def store(database: PreparedDatabase) -> AsyncIterator[PostgresRecordStore]:
    """An open store over the shared database, which is emptied afterwards."""
    store = PostgresRecordStore(database.url)
    await store.open()
    yield store
    await store.close()
    database.empty()


@pytest.fixture
def role(database: PreparedDatabase) -> Iterator[str]:
    """An account that owns no table, may do everything with their rows, and can be limited."""
    name = f"account_{secrets.token_hex(4)}"
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        yield name
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture(params=["monty", "mongo"])
def variables(
    request: pytest.FixtureRequest, tmp_path: Path, prepared_postgres_url: str, mongo_server: MongoServer
) -> Iterator[dict[str, str]]:
    """The settings of an installation that mirrors to PostgreSQL."""
    settings = {
        "APP_ENV": "test",
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": request.param,
        "DATA_DIR": str(tmp_path / "data"),
        "POSTGRES_URL": prepared_postgres_url,
    }
    if request.param == "monty":
        yield {**settings, "MONTY_STORAGE": "sqlite"}
        return
    database = MongoDatabase(mongo_server.uri)
    yield {**settings, "MONGODB_URI": database.uri, "DB_NAME": database.name}
    database.drop()


class ByService(LoadScopeScheduling):  # type: ignore[misc]  # published without types
    """Gives the tests that share a service to the same worker, so that it is started once.

    (The groups of `--dist loadgroup` are not seen under pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        if SHARES_NOTHING.match(nodeid):
            return nodeid
        stores = STORES.search(nodeid)
        shared = "journeys" if JOURNEYS.match(nodeid) else nodeid.partition("::")[0]
        return f"{shared} {stores.group() if stores else ''}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How tests are distributed, whatever `--dist` says."""
    # By itself the scheduler begins with the largest number of tests, not with those that take longest.
    config.option.loadscopereorder = False
    return ByService(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the tests that take longest, in the order of LONGEST_FIRST."""
    places = {stem: place for place, stem in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
