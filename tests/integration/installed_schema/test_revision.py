"""The revision in `alembic_version` that somebody deleted or changed by hand: it is named, with a remedy that works."""

import pytest

from adapters.postgres.installed_schema import HEAD
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.record_store import StoreRefused
from adapters.records.revisions import Revision
from application.ports.schema import FlawEffect
from tests.servers.postgres import PostgresServer
from tests.servers.tables import run_statements

CURRENT = Revision(HEAD, HEAD)


@pytest.mark.parametrize("by", ["prepare", "restore_parts"])
async def test_a_deleted_revision_is_named_and_recorded_again(
    store: PostgresRecordStore, url: str, by: str
) -> None:
    run_statements(url, "DELETE FROM alembic_version")
    (flaw,) = await store.flaws()
    assert "The table alembic_version has no row although there are tables of Tandem" in flaw.cause
    assert (flaw.remedy, flaw.effect) == ("Type: tandem migrate up", FlawEffect.UNSAFE)
    await getattr(store, by)()
    assert (await store.flaws(), await store.revision()) == ([], CURRENT)


async def test_what_else_was_changed_is_named_beside_a_deleted_revision(
    store: PostgresRecordStore, url: str
) -> None:
    run_statements(url, "DELETE FROM alembic_version", "DROP INDEX labels_name")
    assert [flaw.cause.split()[2] for flaw in await store.flaws()] == ["alembic_version", "key"]
    await store.prepare()
    await store.restore_parts()
    assert await store.flaws() == []


async def test_a_deleted_revision_of_other_tables_is_not_made_up(
    store: PostgresRecordStore, url: str
) -> None:
    run_statements(
        url, "DELETE FROM alembic_version", "ALTER TABLE postgres_audit_logs RENAME request_id TO kept"
    )
    (flaw,) = await store.flaws()
    assert "The column request_id of the table postgres_audit_logs is missing" in flaw.remedy
    with pytest.raises(StoreRefused, match="alembic_version has no row"):
        await store.prepare()
    assert await store.revision() == Revision(None, HEAD)
    run_statements(url, f"INSERT INTO alembic_version VALUES ('{HEAD}')")
    assert [one.cause.split()[2] for one in await store.flaws()] == ["request_id"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = 'deadbeef'",
        "INSERT INTO alembic_version VALUES ('deadbeef')",
        "DELETE FROM alembic_version; INSERT INTO alembic_version VALUES ('deadbeef'), ('00ff')",
    ],
)
async def test_an_unknown_revision_is_named_and_the_statement_puts_it_back(
    store: PostgresRecordStore, url: str, change: str
) -> None:
    run_statements(url, change)
    (flaw,) = await store.flaws()
    assert "deadbeef" in flaw.cause
    assert f"this program needs {HEAD}" in flaw.cause
    assert "Run the version of Tandem that has the migration" in flaw.remedy
    assert (flaw.effect, "migrate up" in flaw.remedy) == (FlawEffect.UNSAFE, False)
    await store.restore_parts()
    assert [one.cause for one in await store.flaws()] == [flaw.cause]
    run_statements(url, flaw.remedy.partition("type: ")[2])
    assert (await store.flaws(), await store.revision()) == ([], CURRENT)


async def test_tables_of_an_unknown_revision_are_refused_with_the_version_torun_statements(
    store: PostgresRecordStore, url: str
) -> None:
    run_statements(url, "UPDATE alembic_version SET version_num = 'deadbeef'", "DROP INDEX labels_name")
    with pytest.raises(StoreRefused, match="Run the version of Tandem that has the migration deadbeef"):
        await store.prepare()
    await store.restore_parts()
    found = run_statements(url, "SELECT to_regclass('labels_name'), version_num FROM alembic_version")
    assert found == [(None, "deadbeef")]


async def test_an_empty_database_has_no_flaw(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    store = PostgresRecordStore(url)
    await store.open()
    try:
        assert (await store.flaws(), await store.revision()) == ([], Revision(None, HEAD))
        await store.prepare()
        await store.step_back()
        assert (await store.flaws(), await store.revision()) == ([], Revision(None, HEAD))
        await store.prepare()
        assert (await store.flaws(), await store.revision()) == ([], CURRENT)
    finally:
        await store.close()
        postgres_server.drop_database(url)
