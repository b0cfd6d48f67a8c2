"""The first tables: users, projects, timelines, tasks, labels, the audit trail, and what the store knows of itself.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

USERS = """
    CREATE TABLE postgres_users (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        email text COLLATE "C",
        name text COLLATE "C",
        grants jsonb,
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        words tsvector,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_users_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL
                AND deleted_at IS NULL AND deleted_by IS NULL AND email IS NULL AND name IS NULL AND
                grants IS NULL AND extra IS NULL AND words IS NULL
            )
        )
    );
    CREATE UNIQUE INDEX users_email ON postgres_users (email) WHERE NOT is_deleted;
    CREATE INDEX users_created ON postgres_users (created_at NULLS FIRST, mongo_id);
    CREATE INDEX users_words ON postgres_users USING gin (words);
"""

PROJECTS = """
    CREATE TABLE postgres_projects (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        name text COLLATE "C",
        owner_id text COLLATE "C",
        description text COLLATE "C",
        status text COLLATE "C",
        team_id text COLLATE "C",
        color text COLLATE "C",
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        words tsvector,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_projects_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL
                AND deleted_at IS NULL AND deleted_by IS NULL AND name IS NULL AND owner_id IS NULL AND
                description IS NULL AND status IS NULL AND team_id IS NULL AND color IS NULL AND
                extra IS NULL AND words IS NULL
            )
        )
    );
    CREATE UNIQUE INDEX projects_owner_name ON postgres_projects (owner_id, name) WHERE NOT is_deleted;
    CREATE INDEX projects_created ON postgres_projects
        (created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX projects_owner_created ON postgres_projects
        (owner_id NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX projects_owner_updated ON postgres_projects
        (owner_id NULLS FIRST, updated_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX projects_team ON postgres_projects
        (team_id NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted AND team_id IS NOT NULL;
    CREATE INDEX projects_words ON postgres_projects USING gin (words);
"""

TIMELINES = """
    CREATE TABLE postgres_timelines (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        calendar jsonb,
        items jsonb,
        dependencies jsonb,
        message text COLLATE "C",
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_timelines_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL
                AND deleted_at IS NULL AND deleted_by IS NULL AND calendar IS NULL AND items IS NULL
                AND dependencies IS NULL AND message IS NULL AND extra IS NULL
            )
        )
    );
"""

TASKS = """
    CREATE TABLE postgres_tasks (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        title text COLLATE "C",
        description text COLLATE "C",
        status text COLLATE "C",
        priority bigint,
        project_id text COLLATE "C",
        parent_id text COLLATE "C",
        label_ids jsonb,
        started_at timestamptz,
        due_at timestamptz,
        is_acknowledged boolean,
        external_key text COLLATE "C",
        deleted_reason text COLLATE "C",
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        words tsvector,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_tasks_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL
                AND deleted_at IS NULL AND deleted_by IS NULL AND title IS NULL AND description IS NULL
                AND status IS NULL AND priority IS NULL AND project_id IS NULL AND parent_id IS NULL
                AND label_ids IS NULL AND started_at IS NULL AND due_at IS NULL AND
                is_acknowledged IS NULL AND external_key IS NULL AND deleted_reason IS NULL AND
                extra IS NULL AND words IS NULL
            )
        )
    );
    CREATE UNIQUE INDEX tasks_external_key ON postgres_tasks (external_key) WHERE external_key IS NOT NULL;
    CREATE INDEX tasks_created ON postgres_tasks
        (created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX tasks_creator_created ON postgres_tasks
        (created_by NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX tasks_creator_updated ON postgres_tasks
        (created_by NULLS FIRST, updated_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX tasks_project_created ON postgres_tasks
        (project_id NULLS FIRST, created_at NULLS FIRST, mongo_id)
        WHERE NOT is_deleted AND project_id IS NOT NULL;
    CREATE INDEX tasks_project_deleted ON postgres_tasks
        (project_id NULLS FIRST, deleted_at NULLS FIRST, mongo_id)
        WHERE is_deleted AND project_id IS NOT NULL;
    CREATE INDEX tasks_project_due ON postgres_tasks
        (project_id NULLS FIRST, due_at NULLS FIRST, mongo_id)
        WHERE NOT is_deleted AND project_id IS NOT NULL;
    CREATE INDEX tasks_words ON postgres_tasks USING gin (words);
"""

LABELS = """
    CREATE TABLE postgres_labels (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        name text COLLATE "C",
        color text COLLATE "C",
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        words tsvector,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_labels_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL
                AND deleted_at IS NULL AND deleted_by IS NULL AND name IS NULL AND color IS NULL AND
                extra IS NULL AND words IS NULL
            )
        )
    );
    CREATE UNIQUE INDEX labels_name ON postgres_labels (name) WHERE NOT is_deleted;
    CREATE INDEX labels_created ON postgres_labels
        (created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX labels_words ON postgres_labels USING gin (words);
"""

AUDIT_LOGS = """
    CREATE TABLE postgres_audit_logs (
        mongo_id text COLLATE "C" NOT NULL,
        collection text COLLATE "C",
        entity_id text COLLATE "C",
        version bigint NOT NULL,
        action text COLLATE "C",
        actor_id text COLLATE "C",
        at timestamptz,
        request_id text COLLATE "C",
        change_set_id text COLLATE "C",
        changes jsonb,
        idempotency_key text COLLATE "C",
        request_hash text COLLATE "C",
        sync_status text COLLATE "C",
        sync_attempts bigint,
        sync_next_at timestamptz,
        sync_error text COLLATE "C",
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_audit_logs_erased CHECK (
            is_erased IS NOT TRUE OR (
                collection IS NULL AND entity_id IS NULL AND action IS NULL AND actor_id IS NULL AND
                at IS NULL AND request_id IS NULL AND change_set_id IS NULL AND changes IS NULL AND
                idempotency_key IS NULL AND request_hash IS NULL AND sync_status IS NULL AND
                sync_attempts IS NULL AND sync_next_at IS NULL AND sync_error IS NULL AND extra IS NULL
            )
        )
    );
    CREATE UNIQUE INDEX audit_logs_idempotency_key ON postgres_audit_logs (idempotency_key)
        WHERE idempotency_key IS NOT NULL;
    CREATE UNIQUE INDEX audit_logs_version ON postgres_audit_logs (collection, entity_id, version);
    CREATE INDEX audit_logs_actor_at ON postgres_audit_logs
        (actor_id NULLS FIRST, at NULLS FIRST, mongo_id);
    CREATE INDEX audit_logs_at ON postgres_audit_logs (at NULLS FIRST, mongo_id);
    CREATE INDEX audit_logs_unsettled ON postgres_audit_logs
        (sync_status NULLS FIRST, mongo_id) WHERE sync_status IN ('PENDING', 'FAILED', 'PARKED');
    CREATE INDEX audit_logs_unsettled_in ON postgres_audit_logs
        (sync_status NULLS FIRST, collection NULLS FIRST, mongo_id)
        WHERE sync_status IN ('PENDING', 'FAILED', 'PARKED');
"""

CONTROL = """
    CREATE TABLE tandem_control (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        value jsonb,
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        PRIMARY KEY (mongo_id),
        CONSTRAINT tandem_control_erased CHECK (
            is_erased IS NOT TRUE OR (
                value IS NULL AND extra IS NULL
            )
        )
    );
"""

CREATED = {
    "postgres_users": USERS,
    "postgres_projects": PROJECTS,
    "postgres_timelines": TIMELINES,
    "postgres_tasks": TASKS,
    "postgres_labels": LABELS,
    "postgres_audit_logs": AUDIT_LOGS,
    "tandem_control": CONTROL,
}


def upgrade() -> None:
    for statements in CREATED.values():
        op.execute(statements)


def downgrade() -> None:
    for table in CREATED:
        op.execute(f"DROP TABLE {table}")
