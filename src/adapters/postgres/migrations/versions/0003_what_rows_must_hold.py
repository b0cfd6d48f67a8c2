"""Every row holds what its spec requires, and only values that are known.

What has a default gets it first. A row that lacks more stays as it is, and the check that it breaks is left for later
(NOT VALID): it holds for everything that is written from now on, and `tandem migrate up` comes back to it.

Rows are found by their words anew: words of a first text field count for more, and people by their names alone.

Revision ID: 0003
Revises: 0002
"""

from collections.abc import Iterator

from alembic import op

from adapters.postgres.rows import search_words

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STAMPS = ("created_at", "created_by", "updated_at", "updated_by", "is_deleted")

REQUIRED = {
    "postgres_users": (*STAMPS, "email", "name", "grants"),
    "postgres_sessions": (*STAMPS, "user_id", "token_hash", "expires_at"),
    "postgres_roles": (*STAMPS, "name", "scope", "permissions", "is_built_in"),
    "postgres_teams": (*STAMPS, "name", "owner_id", "invite_series"),
    "postgres_team_members": (*STAMPS, "team_id", "user_id", "role_ids"),
    "postgres_projects": (*STAMPS, "name", "owner_id", "status"),
    "postgres_timelines": (*STAMPS, "calendar", "items", "dependencies"),
    "postgres_labels": (*STAMPS, "name", "color"),
    "postgres_tasks": (
        *STAMPS,
        "title",
        "status",
        "priority",
        "label_ids",
        "is_acknowledged",
        "owner_id",
    ),
    "postgres_task_assignments": (*STAMPS, "task_id", "assignee_id", "assignee_type"),
    "postgres_watchlists": (*STAMPS, "user_id", "task_id"),
    "postgres_audit_logs": (
        "collection",
        "entity_id",
        "action",
        "actor_id",
        "at",
        "request_id",
        "change_set_id",
        "changes",
        "sync_attempts",
    ),
    "tandem_control": ("value",),
}

KNOWN = {
    "postgres_roles": {"scope": "'GLOBAL', 'TEAM'"},
    "postgres_projects": {"status": "'ACTIVE', 'ARCHIVED'"},
    "postgres_tasks": {
        "status": "'TODO', 'IN_PROGRESS', 'BLOCKED', 'DONE'",
        "priority": "1, 2, 3",
        "assignee_type": "'USER', 'TEAM'",
    },
    "postgres_task_assignments": {"assignee_type": "'USER', 'TEAM'"},
    "postgres_audit_logs": {
        "action": "'CREATED', 'UPDATED', 'DELETED', 'RESTORED', 'ROLLED_BACK', 'IMPORTED', 'PURGED'",
        "sync_status": "'PENDING', 'SYNCED', 'FAILED', 'PARKED'",
    },
}

KINDS = {
    "postgres_users": {"grants": "array"},
    "postgres_roles": {"permissions": "array"},
    "postgres_team_members": {"role_ids": "array"},
    "postgres_timelines": {"calendar": "object", "items": "array", "dependencies": "array"},
    "postgres_tasks": {"label_ids": "array"},
    "postgres_audit_logs": {"changes": "object"},
    "tandem_control": {"value": "object"},
}

DEFAULTS = {
    "postgres_users": {"grants": "'[]'"},
    "postgres_projects": {"status": "'ACTIVE'"},
    "postgres_timelines": {
        "calendar": '\'{"workingDays": ["MON", "TUE", "WED", "THU", "FRI"], "holidays": []}\'',
        "items": "'[]'",
        "dependencies": "'[]'",
    },
    "postgres_labels": {"color": "'#6b7280'"},
    "postgres_tasks": {
        "status": "'TODO'",
        "priority": "2",
        "label_ids": "'[]'",
        "is_acknowledged": "false",
        "owner_id": "created_by",
    },
}
"""What rows that were mirrored before a field existed are given, as a store that reads them would."""

TEXTS = {
    "postgres_users": ("name", "NULL"),
    "postgres_teams": ("name", "description"),
    "postgres_projects": ("name", "description"),
    "postgres_labels": ("name", "NULL"),
    "postgres_tasks": ("title", "description"),
}
"""The leading text of each table and the other one."""
ROWS_AT_ONCE = 1_000

VALIDATED = """
    DO $$
    DECLARE left_over record;
    BEGIN
        FOR left_over IN
            SELECT conrelid::regclass AS place, conname FROM pg_constraint
            WHERE NOT convalidated AND contype = 'c' AND connamespace = current_schema()::regnamespace
        LOOP
            BEGIN
                EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', left_over.place, left_over.conname);
            EXCEPTION WHEN check_violation THEN
                RAISE WARNING '% holds rows that break %', left_over.place, left_over.conname;
            END;
        END LOOP;
    END $$
"""


def upgrade() -> None:
    for table, columns in REQUIRED.items():
        defaults = {**({"is_deleted": "false"} if "is_deleted" in columns else {}), **DEFAULTS.get(table, {})}
        for column, value in defaults.items():
            # One plain statement a column: rows that lack something are few, and most tables have none.
            op.execute(
                f"UPDATE {table} SET {column} = {value} WHERE {column} IS NULL AND is_erased IS NOT TRUE"  # noqa: S608
            )
    for table, (lead, other) in TEXTS.items():
        _find_anew(table, lead, other)
    for table, name, condition in _checks():
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
    op.execute(VALIDATED)


def downgrade() -> None:
    for table, name, _ in _checks():
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def _find_anew(table: str, lead: str, other: str) -> None:
    """Computes the words of all rows, page by page; rows that have them already are not written.

    The words are today's, whenever this runs: whoever changes what a word is must compute them once more.
    """
    connection = op.get_bind()
    page = (
        f"SELECT mongo_id, {lead}, {other} FROM {table} WHERE mongo_id > %s AND is_erased IS NOT TRUE"  # noqa: S608
        f" ORDER BY mongo_id LIMIT {ROWS_AT_ONCE}"
    )
    update = (
        f"UPDATE {table} AS stored SET words = given.words::tsvector"  # noqa: S608
        " FROM unnest(%s::text[], %s::text[]) AS given (id, words)"
        " WHERE mongo_id = given.id AND stored.words IS DISTINCT FROM given.words::tsvector"
    )
    after = ""
    while rows := connection.exec_driver_sql(page, (after,)).fetchall():
        words = [search_words(leading, filter(None, [more])) for _, leading, more in rows]
        connection.exec_driver_sql(update, ([row[0] for row in rows], words))
        after = rows[-1][0]


def _checks() -> Iterator[tuple[str, str, str]]:
    """Each check as (table, name, condition)."""
    for table, columns in REQUIRED.items():
        there = " AND ".join(f"{column} IS NOT NULL" for column in columns)
        yield table, f"{table}_required", f"is_erased IS TRUE OR ({there})"
        for column, values in KNOWN.get(table, {}).items():
            yield table, f"{table}_{column}_known", f"{column} IN ({values})"
        for column, kind in KINDS.get(table, {}).items():
            yield table, f"{table}_{column}_kind", f"jsonb_typeof({column}) = '{kind}'"
