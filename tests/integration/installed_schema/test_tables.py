"""Tables that somebody replaced, or whose rows are not only their own: each is named with what brings it back."""

import pytest

from adapters.postgres.record_store import PostgresRecordStore
from application.ports.schema import FlawEffect, SchemaFlaw
from tests.servers.tables import run_statements
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, label, put

COPIED = "CREATE TABLE postgres_labels (LIKE lx INCLUDING ALL)"
REPLACED = ("ALTER TABLE postgres_labels RENAME TO lx", COPIED)
RESTORED = """
    UPDATE tandem_tables SET table_oid = (table_oid::int8 + 1)::oid
"""
"""As after a dump was restored: every table has another number."""


async def replaced_flaw(store: PostgresRecordStore) -> SchemaFlaw:
    (flaw,) = [one for one in await store.flaws() if "somebody replaced it" in one.cause]
    return flaw


async def test_a_table_in_the_place_of_another_one_is_named_and_both_can_be_renamed_back(
    store: PostgresRecordStore, url: str
) -> None:
    await store.apply([change_set(put("labels", label(1)))])
    run_statements(url, *REPLACED)
    flaw = await replaced_flaw(store)
    assert flaw.effect is FlawEffect.UNSAFE
    assert flaw.cause.startswith(
        "The table postgres_labels is another one than Tandem made, which is called lx now"
    )
    await store.restore_parts()
    await replaced_flaw(store)
    run_statements(url, flaw.remedy.partition("psql: ")[2].partition(". If")[0])
    await store.restore_parts()
    assert await store.flaws() == []
    assert set(await store.fetch("labels", [numbered_id(1)])) == {numbered_id(1)}


async def test_a_table_whose_former_one_is_gone_is_accepted_by_a_statement(
    store: PostgresRecordStore, url: str
) -> None:
    run_statements(url, *REPLACED, "DROP TABLE lx")
    flaw = await replaced_flaw(store)
    assert "which is gone" in flaw.cause
    assert flaw.remedy.startswith("Restore it from a copy.")
    run_statements(url, flaw.remedy.partition("is right: ")[2].partition("; and")[0])
    await store.restore_parts()
    assert await store.flaws() == []


@pytest.mark.parametrize(
    "instead", ["CREATE VIEW postgres_labels AS SELECT * FROM lx", f"{COPIED} PARTITION BY LIST (is_deleted)"]
)
async def test_what_is_no_ordinary_table_is_another_one(
    store: PostgresRecordStore, url: str, instead: str
) -> None:
    instead = instead.replace("INCLUDING ALL", "")
    run_statements(url, "ALTER TABLE postgres_labels RENAME TO lx", instead)
    assert "postgres_labels" in (await replaced_flaw(store)).cause


@pytest.mark.parametrize(
    "moved", ["VACUUM FULL postgres_labels", "CLUSTER postgres_labels USING postgres_labels_pkey"]
)
async def test_a_table_that_was_rewritten_is_the_same_one(
    store: PostgresRecordStore, url: str, moved: str
) -> None:
    run_statements(
        url, moved, "ALTER TABLE postgres_labels SET UNLOGGED", "ALTER TABLE postgres_labels SET LOGGED"
    )
    assert await store.flaws() == []


async def test_a_restored_dump_is_no_flaw_but_nobody_says_that_its_tables_are_watched(
    store: PostgresRecordStore, url: str
) -> None:
    run_statements(url, RESTORED)
    (flaw,) = await store.flaws()
    assert flaw.effect is FlawEffect.UNCOUNTED
    assert "whether somebody has replaced a table is not noticed" in flaw.cause
    await store.restore_parts()
    assert await store.flaws() == []
    run_statements(url, *REPLACED)
    await replaced_flaw(store)


async def test_a_child_table_is_named_and_can_be_separated(store: PostgresRecordStore, url: str) -> None:
    run_statements(url, "CREATE TABLE kid () INHERITS (postgres_tasks)")
    (flaw,) = await store.flaws()
    assert "postgres_tasks has child tables (kid)" in flaw.cause
    run_statements(url, flaw.remedy.partition("type: ")[2])
    assert await store.flaws() == []


async def test_row_level_security_is_named_where_it_concerns_the_account(
    store: PostgresRecordStore, url: str, role: str
) -> None:
    run_statements(
        url,
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
        "ALTER TABLE postgres_tasks ENABLE ROW LEVEL SECURITY",
    )
    assert await store.flaws() == []
    limited = PostgresRecordStore(f"{url}&user={role}")
    await limited.open()
    try:
        (flaw,) = await limited.flaws()
        assert "may hide rows of the table postgres_tasks" in flaw.cause
        run_statements(url, flaw.remedy.partition("type: ")[2])
        assert await limited.flaws() == []
    finally:
        await limited.close()
        run_statements(url, f"DROP OWNED BY {role}")
