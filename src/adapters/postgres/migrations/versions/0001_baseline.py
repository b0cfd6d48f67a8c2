"""All tables of the first release.

This file is frozen: it defines revision 0001, independently of later specs. A test compares the newest revision
with the specs.

Revision ID: 0001
Revises:
"""

from collections.abc import Iterator

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TYPES = {
    "text": 'text COLLATE "C"',
    "number": "bigint",
    "boolean": "boolean",
    "instant": "timestamptz",
    "day": "date",
    "array": "jsonb",
    "object": "jsonb",
}
"""The SQL type of each kind of column. A check enforces `array` and `object`."""

STAMPS = (
    "created_at instant!, created_by text!, updated_at instant!, updated_by text!,"
    " is_deleted boolean!, deleted_at instant, deleted_by text"
)
COLUMNS = {
    "users": f"{STAMPS}, email text!, name text!, grants array!, timezone text!",
    "sessions": f"{STAMPS}, user_id text!, tokens array!, expires_at instant!, ended_because text",
    "api_tokens": (
        f"{STAMPS}, user_id text!, name text!, scopes array!, token_hash text!, expires_at instant,"
        " last_used_at instant"
    ),
    "roles": f"{STAMPS}, name text!, scope text!, permissions array!, description text, is_built_in boolean!",
    "teams": f"{STAMPS}, name text!, owner_id text!, description text, poc_id text, invite_series number!",
    "team_members": f"{STAMPS}, team_id text!, user_id text!, role_ids array!",
    "projects": (
        f"{STAMPS}, name text!, owner_id text!, description text, status text!, team_id text, color text"
    ),
    "timelines": f"{STAMPS}, calendar object!, items array!, dependencies array!, message text",
    "labels": f"{STAMPS}, name text!, color text!, name_key text",
    "tasks": (
        f"{STAMPS}, title text!, description text, status text!, priority number!, project_id text,"
        " parent_id text, label_ids array!, started_at instant, due_at instant, due_on day, due_by instant,"
        " completed_at instant, links array!, is_acknowledged boolean!,"
        " external_key text, deleted_reason text, owner_id text!, team_id text, display_id number,"
        " deferred_till instant, assignee_id text, assignee_type text, executor_id text"
    ),
    "task_assignments": f"{STAMPS}, task_id text!, assignee_id text!, assignee_type text!, executor_id text",
    "watchlists": f"{STAMPS}, user_id text!, task_id text!",
    "audit_logs": (
        "collection text!, entity_id text!, action text!, actor_id text!, at instant!, request_id text!,"
        " change_set_id text!, changes object!, idempotency_key text, request_hash text, sync_status text,"
        " sync_attempts number!, sync_next_at instant, sync_error text, lane number, lane_number number,"
        " sync_lane number, sync_number number"
    ),
    "control": "value object!",
}
"""By collection, the columns that hold fields, each as `name kind`; `!` marks those that every row must have."""

KNOWN = {
    "roles": {"scope": "'GLOBAL', 'TEAM'"},
    "projects": {"status": "'ACTIVE', 'ARCHIVED'"},
    "tasks": {
        "status": "'TODO', 'IN_PROGRESS', 'BLOCKED', 'DONE'",
        "priority": "1, 2, 3",
        "assignee_type": "'USER', 'TEAM'",
    },
    "task_assignments": {"assignee_type": "'USER', 'TEAM'"},
    "audit_logs": {
        "action": "'CREATED', 'UPDATED', 'DELETED', 'RESTORED', 'ROLLED_BACK', 'IMPORTED', 'PURGED', 'ABANDONED', "
        "'REPAIRED'",
        "sync_status": "'PENDING', 'SYNCED', 'FAILED', 'PARKED'",
    },
}
SEARCHED = ("users", "teams", "projects", "labels", "tasks")
"""The collections that are searched by words."""

WORD_STATISTICS = 1_000
"""PostgreSQL notes the frequencies of ten times as many words."""

ALL, LIVE, TRASH = "", "NOT is_deleted", "is_deleted AND deleted_at IS NOT NULL"
UNDELIVERED = "(sync_status IS NULL OR sync_status IN ('PENDING', 'FAILED', 'PARKED'))"

UNIQUE_KEYS = (
    ("users", "email", "email", LIVE),
    ("roles", "name", "scope, name", LIVE),
    ("projects", "owner_name", "owner_id, name", LIVE),
    ("labels", "name", "name_key", f"{LIVE} AND name_key IS NOT NULL"),
    ("tasks", "external_key", "external_key", "external_key IS NOT NULL"),
    ("tasks", "display_id", "display_id", "display_id IS NOT NULL"),
    ("task_assignments", "task", "task_id", LIVE),
    ("audit_logs", "version", "collection, entity_id, version", ALL),
    ("audit_logs", "idempotency_key", "idempotency_key", "idempotency_key IS NOT NULL"),
)
"""Each as collection, name within the collection, columns, condition."""

INDEXES = (
    ("users", "created", "created_at", ALL),
    ("sessions", "user", "user_id, created_at", ALL),
    ("sessions", "expires", "expires_at", ALL),
    ("api_tokens", "user", "user_id, created_at", LIVE),
    ("api_tokens", "expires", "expires_at", f"{LIVE} AND expires_at IS NOT NULL"),
    ("api_tokens", "deleted", "deleted_at", TRASH),
    ("roles", "created", "created_at", LIVE),
    ("teams", "created", "created_at", LIVE),
    ("teams", "owner", "owner_id, created_at", LIVE),
    ("teams", "deleted", "deleted_at", TRASH),
    ("team_members", "team", "team_id, created_at", ALL),
    ("team_members", "user", "user_id, created_at", LIVE),
    ("projects", "owner_created", "owner_id, created_at", LIVE),
    ("projects", "owner_updated", "owner_id, updated_at", LIVE),
    ("projects", "created", "created_at", LIVE),
    ("projects", "team", "team_id, created_at", f"{LIVE} AND team_id IS NOT NULL"),
    ("projects", "deleted", "deleted_at", TRASH),
    ("labels", "created", "created_at", LIVE),
    ("labels", "deleted", "deleted_at", TRASH),
    ("tasks", "owner_created", "owner_id, created_at", LIVE),
    ("tasks", "owner_updated", "owner_id, updated_at", LIVE),
    ("tasks", "team_created", "team_id, created_at", f"{LIVE} AND team_id IS NOT NULL"),
    ("tasks", "assignee_created", "assignee_id, created_at", f"{LIVE} AND assignee_id IS NOT NULL"),
    ("tasks", "executor_created", "executor_id, created_at", f"{LIVE} AND executor_id IS NOT NULL"),
    ("tasks", "project_created", "project_id, created_at", f"{LIVE} AND project_id IS NOT NULL"),
    ("tasks", "project_due", "project_id, due_by", f"{LIVE} AND project_id IS NOT NULL"),
    ("tasks", "parent_created", "parent_id, created_at", f"{LIVE} AND parent_id IS NOT NULL"),
    ("tasks", "project_deleted", "project_id, deleted_at", "is_deleted AND project_id IS NOT NULL"),
    ("tasks", "created", "created_at", LIVE),
    ("tasks", "deleted", "deleted_at", TRASH),
    ("task_assignments", "assignee", "assignee_id, created_at", LIVE),
    ("task_assignments", "executor", "executor_id, created_at", f"{LIVE} AND executor_id IS NOT NULL"),
    ("task_assignments", "created", "created_at", LIVE),
    ("task_assignments", "history", "task_id, created_at", ALL),
    ("watchlists", "user", "user_id, updated_at", LIVE),
    ("watchlists", "task", "task_id, created_at", ALL),
    ("audit_logs", "actor_at", "actor_id, at", ALL),
    ("audit_logs", "at", "at", ALL),
    ("audit_logs", "undelivered", "sync_status", UNDELIVERED),
    ("audit_logs", "undelivered_in", "sync_status, collection", UNDELIVERED),
    ("audit_logs", "sync_lane", "sync_lane, sync_number", "sync_lane IS NOT NULL"),
)
"""As unique keys. Ascending, nulls first, then by id."""

LANES = (
    "CREATE TABLE tandem_lanes (lane bigint PRIMARY KEY, number bigint NOT NULL, epoch bigint NOT NULL,"
    " pid bigint NOT NULL, opening text NOT NULL, process text NOT NULL, host text NOT NULL, boot text NOT NULL,"
    " is_open boolean NOT NULL, beaten_at timestamptz NOT NULL,"
    " is_checkpointed boolean NOT NULL DEFAULT false) WITH (fillfactor = 50)"
)
"""Every write updates one row: with free space on its page an update needs no new index entry."""
SEEN = (
    "CREATE TABLE tandem_seen (lane bigint PRIMARY KEY, number bigint NOT NULL, cut bigint,"
    " is_checkpointed boolean NOT NULL DEFAULT false) WITH (fillfactor = 50)"
)

FOREIGN_CHANGES = (
    "CREATE TABLE tandem_foreign_changes (table_name text PRIMARY KEY, statements bigint NOT NULL)"
)
MADE = "CREATE TABLE tandem_tables (table_name text PRIMARY KEY, table_oid oid NOT NULL)"
NOTE = (
    "INSERT INTO tandem_tables SELECT relname, oid FROM pg_class"
    " WHERE relnamespace = current_schema()::regnamespace AND relname = ANY(ARRAY[{names}])"
)
"""A table that somebody puts in the place of another one has another number."""
FOREIGN_CHANGE_COUNT = """
CREATE FUNCTION tandem_count_foreign_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO tandem_foreign_changes VALUES (TG_TABLE_NAME, 1)
    ON CONFLICT (table_name) DO UPDATE SET statements = tandem_foreign_changes.statements + 1;
    RETURN NULL;
END $$
"""
"""Whoever may write a table need not be allowed to write the count."""


def upgrade() -> None:
    op.execute(LANES)
    op.execute(SEEN)
    op.execute(FOREIGN_CHANGES)
    op.execute(FOREIGN_CHANGE_COUNT)
    for table in ("tandem_lanes", "tandem_seen"):
        op.execute(f"CREATE INDEX {table}_compared ON {table} (lane) WHERE NOT is_checkpointed")
    for collection, columns in COLUMNS.items():
        op.execute(_creation(collection, [column.split() for column in columns.split(", ")]))
        if collection != "control":
            op.execute(_foreign_change_trigger(_table(collection)))
            op.execute(f"ALTER TABLE {_table(collection)} ENABLE ALWAYS TRIGGER tandem_foreign_change")
    for collection in SEARCHED:
        op.execute(f"CREATE INDEX {collection}_words ON {_table(collection)} USING gin (words)")
        # The planner assumes half the frequency of the rarest word it knows for all others: with the usual statistics
        # of 1,000 words it reads a whole table in order for a word that occurs once.
        op.execute(f"ALTER TABLE {_table(collection)} ALTER COLUMN words SET STATISTICS {WORD_STATISTICS}")
    for collection, name, columns, condition in UNIQUE_KEYS:
        where = f" WHERE {condition}" if condition else ""
        op.execute(f"CREATE UNIQUE INDEX {collection}_{name} ON {_table(collection)} ({columns}){where}")
    for collection, name, columns, condition in INDEXES:
        where = f" WHERE {condition}" if condition else ""
        ordered = ", ".join(f"{column} NULLS FIRST" for column in columns.split(", "))
        op.execute(f"CREATE INDEX {collection}_{name} ON {_table(collection)} ({ordered}, mongo_id){where}")
    op.execute(MADE)
    own = ("tandem_lanes", "tandem_seen", "tandem_foreign_changes", "tandem_tables")
    op.execute(NOTE.format(names=", ".join(f"'{name}'" for name in (*own, *map(_table, COLUMNS)))))


def downgrade() -> None:
    op.execute("DROP TABLE tandem_tables")
    op.execute("DROP TABLE tandem_lanes")
    op.execute("DROP TABLE tandem_seen")
    for collection in COLUMNS:
        op.execute(f"DROP TABLE {_table(collection)}")
    op.execute("DROP FUNCTION tandem_count_foreign_change")
    op.execute("DROP TABLE tandem_foreign_changes")


def _foreign_change_trigger(table: str) -> str:
    """For a statement of Tandem's own sessions, the condition is all that is evaluated.

    Enabled always, it also fires in sessions that replicate or restore, where other triggers do not.
    """
    return (
        f"CREATE TRIGGER tandem_foreign_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT WHEN (current_setting('tandem.writer', true) IS DISTINCT FROM 'on')"
        " EXECUTE FUNCTION tandem_count_foreign_change()"
    )


def _table(collection: str) -> str:
    return "tandem_control" if collection == "control" else f"postgres_{collection}"


def _creation(collection: str, columns: list[list[str]]) -> str:
    """The statement that creates a table with fields, the columns that every row has besides them, and checks."""
    keys = ['mongo_id text COLLATE "C" NOT NULL PRIMARY KEY', "version bigint NOT NULL"]
    fields = [f"{name} {TYPES[kind.removesuffix('!')]}" for name, kind in columns]
    own = ["synced_at timestamptz", "is_erased boolean", "extra jsonb"]
    words = ["words tsvector"] if collection in SEARCHED else []
    parts = (*keys, *fields, *own, *words, *_checks(collection, columns))
    return f"CREATE TABLE {_table(collection)} ({', '.join(parts)})"


def _checks(collection: str, columns: list[list[str]]) -> Iterator[str]:
    prefix = f"CONSTRAINT {_table(collection)}"
    content = [name for name, _ in columns if name != "is_deleted"]
    own = ["extra", "words"] if collection in SEARCHED else ["extra"]
    empty = " AND ".join(f"{name} IS NULL" for name in (*content, *own))
    yield f"{prefix}_erased CHECK (is_erased IS NOT TRUE OR ({empty}))"
    present = " AND ".join(f"{name} IS NOT NULL" for name, kind in columns if kind.endswith("!"))
    yield f"{prefix}_required CHECK (is_erased IS TRUE OR ({present}))"
    for name, values in KNOWN.get(collection, {}).items():
        yield f"{prefix}_{name}_known CHECK ({name} IN ({values}))"
    for name, kind in columns:
        if kind.startswith(("array", "object")):
            yield f"{prefix}_{name}_kind CHECK (jsonb_typeof({name}) = '{kind.removesuffix('!')}')"
