"""Parts of the tables that somebody removed or changed by hand: each is named, and `migrate up` makes it anew."""

import pytest

from adapters.postgres.expected_parts import INDEXES
from adapters.postgres.installed_parts import WATCHED
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.record_store import SchemaGone, StoreRefused
from application.ports.schema import FlawEffect
from tests.servers.postgres import PostgresServer
from tests.servers.tables import PreparedDatabase, run_statements
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, put, task

TABLES = """
    SELECT array_agg(indexdef ORDER BY indexname), (SELECT array_agg(pg_get_constraintdef(oid) ORDER BY conname)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace) FROM pg_indexes WHERE schemaname = 'public'
"""
COUNTING = """
    SELECT regexp_replace(pg_get_functiondef('tandem_count_foreign_change'::regproc), '\\s+', ' ', 'g'),
        (SELECT array_agg(pg_get_triggerdef(oid) || tgenabled::text ORDER BY tgrelid::regclass::text) FROM pg_trigger)
"""
TWO_LABELS = """
    INSERT INTO postgres_labels (mongo_id, version, created_at, created_by, updated_at, updated_by, is_deleted, name,
        color, name_key)
    SELECT id, 1, now(), 'x', now(), 'x', false, 'Home', 'red', 'home' FROM unnest(ARRAY['a', 'b']) AS id
"""


@pytest.mark.parametrize(
    ("change", "named", "effect"),
    [
        (
            "DROP INDEX labels_name",
            "unique key labels_name of the table postgres_labels is missing",
            "UNSAFE",
        ),
        ("DROP INDEX audit_logs_version", "unique key audit_logs_version", "UNSAFE"),
        ("ALTER INDEX users_email RENAME TO mails", "unique key users_email", "UNSAFE"),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tasks_external_key'::regclass",
            "tasks_external_key of the table postgres_tasks is invalid",
            "UNSAFE",
        ),
        (
            "UPDATE pg_index SET indisready = false WHERE indexrelid = 'users_email'::regclass",
            "users_email of the table postgres_users is invalid",
            "UNSAFE",
        ),
        (
            "DROP INDEX users_email; CREATE INDEX users_email ON postgres_users (email) WHERE NOT is_deleted",
            "users_email of the table postgres_users is another one",
            "UNSAFE",
        ),
        (
            (
                "DROP INDEX roles_name; CREATE UNIQUE INDEX roles_name ON postgres_roles (scope, name, mongo_id)"
                " WHERE NOT is_deleted"
            ),
            "roles_name of the table postgres_roles is another one",
            "UNSAFE",
        ),
        (
            "DROP INDEX labels_name; CREATE UNIQUE INDEX labels_name ON postgres_labels (name_key) WHERE is_deleted",
            "labels_name of the table postgres_labels is another one",
            "UNSAFE",
        ),
        (
            (
                "DROP INDEX tasks_created;"
                " CREATE INDEX tasks_created ON postgres_tasks (created_at, mongo_id) WHERE NOT is_deleted"
            ),
            "index tasks_created of the table postgres_tasks is another one",
            "SLOW",
        ),
        (
            (
                "DROP INDEX tasks_external_key; CREATE UNIQUE INDEX tasks_external_key ON postgres_tasks"
                ' (external_key COLLATE "POSIX") WHERE external_key IS NOT NULL'
            ),
            "tasks_external_key of the table postgres_tasks is another one",
            "UNSAFE",
        ),
        (
            (
                "DROP INDEX audit_logs_version; ALTER TABLE postgres_audit_logs ADD CONSTRAINT audit_logs_version"
                " UNIQUE (collection, entity_id, version) DEFERRABLE"
            ),
            "audit_logs_version of the table postgres_audit_logs is another one",
            "UNSAFE",
        ),
        (
            (
                "DROP INDEX audit_logs_undelivered; CREATE INDEX audit_logs_undelivered ON postgres_audit_logs"
                " (sync_status NULLS FIRST, mongo_id)"
                " WHERE sync_status IS NULL OR sync_status IN ('PENDING', 'FAILED')"
            ),
            "audit_logs_undelivered of the table postgres_audit_logs is another one",
            "SLOW",
        ),
        (
            (
                "ALTER TABLE postgres_roles DROP CONSTRAINT postgres_roles_required; ALTER TABLE postgres_roles"
                " ADD CONSTRAINT postgres_roles_required CHECK ((is_erased IS TRUE OR created_at IS NOT NULL) AND"
                " created_by IS NOT NULL AND updated_at IS NOT NULL AND updated_by IS NOT NULL AND is_deleted IS NOT"
                " NULL AND name IS NOT NULL AND scope IS NOT NULL AND permissions IS NOT NULL AND is_built_in IS NOT"
                " NULL)"
            ),
            "check postgres_roles_required of the table postgres_roles is another one",
            "UNSAFE",
        ),
        (
            (
                "ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_pkey;"
                " ALTER TABLE postgres_tasks ADD PRIMARY KEY (mongo_id) DEFERRABLE"
            ),
            "primary key of the table postgres_tasks is another one",
            "UNSAFE",
        ),
        (
            "ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_pkey",
            "primary key of the table postgres_tasks is missing",
            "UNSAFE",
        ),
        (
            "ALTER TABLE tandem_lanes DROP CONSTRAINT tandem_lanes_pkey",
            "primary key of the table tandem_lanes is missing",
            "UNSAFE",
        ),
        (
            "ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_status_known",
            "check postgres_tasks_status_known of the table postgres_tasks is missing",
            "UNSAFE",
        ),
        (
            (
                "ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_status_known;"
                " ALTER TABLE postgres_tasks ADD CONSTRAINT postgres_tasks_status_known CHECK (status <> '')"
            ),
            "check postgres_tasks_status_known of the table postgres_tasks is another one",
            "UNSAFE",
        ),
        (
            (
                "ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_priority_known; ALTER TABLE postgres_tasks"
                " ADD CONSTRAINT postgres_tasks_priority_known CHECK (priority IN (1, 2, 3)) NOT VALID"
            ),
            "check postgres_tasks_priority_known of the table postgres_tasks is not validated",
            "UNSAFE",
        ),
        (
            "ALTER TABLE postgres_teams ALTER version DROP NOT NULL",
            "column version of the table postgres_teams may be null",
            "UNSAFE",
        ),
        ("ALTER TABLE postgres_labels SET UNLOGGED", "table postgres_labels is unlogged", "UNSAFE"),
        ("ALTER TABLE tandem_control SET UNLOGGED", "table tandem_control is unlogged", "UNSAFE"),
        ("ALTER TABLE tandem_lanes SET UNLOGGED", "table tandem_lanes is unlogged", "UNSAFE"),
        ("ALTER TABLE tandem_seen SET UNLOGGED", "table tandem_seen is unlogged", "UNSAFE"),
        (
            "ALTER TABLE postgres_tasks DISABLE TRIGGER ALL; ALTER TABLE postgres_tasks ENABLE TRIGGER ALL",
            "trigger tandem_foreign_change of the table postgres_tasks is not enabled always",
            "UNCOUNTED",
        ),
        (
            "DROP TRIGGER tandem_foreign_change ON postgres_audit_logs",
            "trigger tandem_foreign_change of the table postgres_audit_logs is missing",
            "UNCOUNTED",
        ),
        ("DROP INDEX tasks_created", "index tasks_created of the table postgres_tasks is missing", "SLOW"),
        ("DROP INDEX users_words", "index users_words of the table postgres_users is missing", "SLOW"),
        ("DROP INDEX tandem_seen_compared", "index tandem_seen_compared of the table tandem_seen", "SLOW"),
    ],
)
async def test_what_somebody_removed_is_named_and_made_anew(
    store: PostgresRecordStore, url: str, change: str, named: str, effect: str
) -> None:
    before = run_statements(url, TABLES)
    run_statements(url, change)
    (flaw,) = await store.flaws()
    assert named in flaw.cause
    assert flaw.effect is FlawEffect(effect)
    await store.restore_parts()
    assert await store.flaws() == []
    renamed = "mails" in change
    assert renamed or run_statements(url, TABLES) == before


async def test_every_index_and_trigger_is_made_anew_as_the_migration_makes_it(
    store: PostgresRecordStore, url: str
) -> None:
    indexes = [index.name for index in INDEXES]
    before = run_statements(url, TABLES), run_statements(url, COUNTING)
    run_statements(
        url, f"DROP INDEX {', '.join(indexes)}", "DROP FUNCTION tandem_count_foreign_change CASCADE"
    )
    assert len(await store.flaws()) == len(indexes) + len(WATCHED)
    await store.restore_parts()
    assert (run_statements(url, TABLES), run_statements(url, COUNTING)) == before


async def test_the_function_of_the_triggers_is_made_anew(store: PostgresRecordStore, url: str) -> None:
    run_statements(url, "DROP FUNCTION tandem_count_foreign_change CASCADE")
    assert {flaw.effect for flaw in await store.flaws()} == {FlawEffect.UNCOUNTED}
    await store.restore_parts()
    assert await store.flaws() == []
    run_statements(url, "SET session_replication_role = replica; DELETE FROM postgres_labels")
    assert await store.foreign_changes() == 1


async def test_rows_that_break_a_missing_key_are_named_and_the_others_are_made(
    store: PostgresRecordStore, url: str
) -> None:
    run_statements(url, "DROP INDEX labels_name, users_email", TWO_LABELS)
    with pytest.raises(
        StoreRefused, match=r'unique index "labels_name".*then type: tandem migrate up'
    ) as refused:
        await store.restore_parts()
    assert "home" not in str(refused.value)
    assert [flaw.cause.split()[3] for flaw in await store.flaws()] == ["labels_name"]
    run_statements(url, "DELETE FROM postgres_labels WHERE mongo_id = 'a'")
    await store.restore_parts()
    assert await store.flaws() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER SCHEMA public RENAME TO kept", "in the schema kept now"),
        ("ALTER SCHEMA public RENAME TO kept; CREATE SCHEMA public", "in the schema kept now"),
    ],
)
async def test_a_renamed_schema_is_named_with_a_statement_that_brings_it_back(
    store: PostgresRecordStore, url: str, change: str, said: str
) -> None:
    await store.prepare()
    await store.apply([change_set(put("tasks", task(1)))])
    run_statements(url, change)
    with pytest.raises(SchemaGone, match=said) as gone:
        await store.fetch("tasks", [numbered_id(1)])
    assert "migrate up" not in gone.value.message
    run_statements(url, gone.value.message.partition("type: ")[2])
    assert set(await store.fetch("tasks", [numbered_id(1)])) == {numbered_id(1)}


async def test_tables_that_were_dropped_while_in_use_are_not_taken_for_new(
    store: PostgresRecordStore, url: str
) -> None:
    await store.prepare()
    run_statements(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with pytest.raises(SchemaGone, match=r"are gone: somebody dropped.*restore the database from a copy"):
        await store.fetch("tasks", [numbered_id(1)])


async def test_a_process_that_made_the_tables_does_not_make_empty_ones_in_their_place(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.create_database()
    store = PostgresRecordStore(url)
    await store.open()
    try:
        await store.prepare()
        run_statements(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        with pytest.raises(SchemaGone, match="are gone"):
            await store.prepare()
        assert run_statements(url, "SELECT FROM pg_tables WHERE schemaname = 'public'") == []
    finally:
        await store.close()
        postgres_server.drop_database(url)


async def test_the_account_needs_no_privilege_to_write_what_others_write(
    database: PreparedDatabase, role: str
) -> None:
    others = "alembic_version, tandem_foreign_changes"
    run_statements(database.url, f"REVOKE INSERT, UPDATE, DELETE ON {others} FROM {role}")
    store = PostgresRecordStore(f"{database.url}&user={role}")
    await store.open()
    try:
        assert await store.missing_privileges() == []
        run_statements(
            database.url,
            f"REVOKE SELECT ON {others} FROM {role}; REVOKE DELETE ON postgres_tasks FROM {role}",
        )
        assert [
            words.partition("table ")[2].partition(" ")[0] for words in await store.missing_privileges()
        ] == [
            "alembic_version.",
            "postgres_tasks.",
            "tandem_foreign_changes.",
        ]
        run_statements(
            database.url, f"GRANT SELECT ON {others} TO {role}; GRANT DELETE ON postgres_tasks TO {role}"
        )
        await store.commit(change_set(put("tasks", task(1))))
        assert await store.foreign_changes() is not None
    finally:
        await store.close()
        database.empty()


async def test_parts_that_the_account_may_not_make_are_named_in_the_words_of_the_server(
    postgres_server: PostgresServer, url: str, role: str
) -> None:
    run_statements(
        url,
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON SCHEMA public TO {role}",
        "DROP INDEX labels_name, users_email",
        f"ALTER TABLE postgres_labels OWNER TO {role}",
    )
    store = PostgresRecordStore(f"{url}&user={role}")
    await store.open()
    try:
        with pytest.raises(StoreRefused, match="must be owner of table postgres_users"):
            await store.restore_parts()
        assert [flaw.cause.split()[3] for flaw in await store.flaws()] == ["users_email"]
    finally:
        await store.close()
        run_statements(url, f"REASSIGN OWNED BY {role} TO current_user; DROP OWNED BY {role}")
