"""Teams, roles, assignments, watchlists and sessions; tasks know their number, their home and their assignee.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROLES = """
    CREATE TABLE postgres_roles (
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
        scope text COLLATE "C",
        permissions jsonb,
        description text COLLATE "C",
        is_built_in boolean,
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_roles_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL AND
                deleted_at IS NULL AND deleted_by IS NULL AND name IS NULL AND scope IS NULL AND permissions
                IS NULL AND description IS NULL AND is_built_in IS NULL AND extra IS NULL
            )
        )
    );
    CREATE UNIQUE INDEX roles_name ON postgres_roles (scope, name) WHERE NOT is_deleted;
    CREATE INDEX roles_created ON postgres_roles
        (created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
"""

TEAMS = """
    CREATE TABLE postgres_teams (
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
        poc_id text COLLATE "C",
        invite_series bigint,
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        words tsvector,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_teams_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL AND
                deleted_at IS NULL AND deleted_by IS NULL AND name IS NULL AND owner_id IS NULL AND
                description IS NULL AND poc_id IS NULL AND invite_series IS NULL AND extra IS NULL AND words
                IS NULL
            )
        )
    );
    CREATE INDEX teams_created ON postgres_teams
        (created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX teams_deleted ON postgres_teams
        (deleted_at NULLS FIRST, mongo_id) WHERE is_deleted AND deleted_at IS NOT NULL;
    CREATE INDEX teams_owner ON postgres_teams
        (owner_id NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX teams_words ON postgres_teams USING gin (words);
"""

TEAM_MEMBERS = """
    CREATE TABLE postgres_team_members (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        team_id text COLLATE "C",
        user_id text COLLATE "C",
        role_ids jsonb,
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_team_members_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL AND
                deleted_at IS NULL AND deleted_by IS NULL AND team_id IS NULL AND user_id IS NULL AND
                role_ids IS NULL AND extra IS NULL
            )
        )
    );
    CREATE INDEX team_members_team ON postgres_team_members
        (team_id NULLS FIRST, created_at NULLS FIRST, mongo_id);
    CREATE INDEX team_members_user ON postgres_team_members
        (user_id NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
"""

TASK_ASSIGNMENTS = """
    CREATE TABLE postgres_task_assignments (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        task_id text COLLATE "C",
        assignee_id text COLLATE "C",
        assignee_type text COLLATE "C",
        executor_id text COLLATE "C",
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_task_assignments_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL AND
                deleted_at IS NULL AND deleted_by IS NULL AND task_id IS NULL AND assignee_id IS NULL AND
                assignee_type IS NULL AND executor_id IS NULL AND extra IS NULL
            )
        )
    );
    CREATE UNIQUE INDEX task_assignments_task ON postgres_task_assignments (task_id) WHERE NOT is_deleted;
    CREATE INDEX task_assignments_assignee ON postgres_task_assignments
        (assignee_id NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX task_assignments_created ON postgres_task_assignments
        (created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX task_assignments_executor ON postgres_task_assignments
        (executor_id NULLS FIRST, created_at NULLS FIRST, mongo_id)
        WHERE NOT is_deleted AND executor_id IS NOT NULL;
    CREATE INDEX task_assignments_history ON postgres_task_assignments
        (task_id NULLS FIRST, created_at NULLS FIRST, mongo_id);
"""

WATCHLISTS = """
    CREATE TABLE postgres_watchlists (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        user_id text COLLATE "C",
        task_id text COLLATE "C",
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_watchlists_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL AND
                deleted_at IS NULL AND deleted_by IS NULL AND user_id IS NULL AND task_id IS NULL AND extra
                IS NULL
            )
        )
    );
    CREATE INDEX watchlists_task ON postgres_watchlists
        (task_id NULLS FIRST, created_at NULLS FIRST, mongo_id);
    CREATE INDEX watchlists_user ON postgres_watchlists
        (user_id NULLS FIRST, updated_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
"""

SESSIONS = """
    CREATE TABLE postgres_sessions (
        mongo_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz,
        created_by text COLLATE "C",
        updated_at timestamptz,
        updated_by text COLLATE "C",
        is_deleted boolean,
        deleted_at timestamptz,
        deleted_by text COLLATE "C",
        user_id text COLLATE "C",
        token_hash text COLLATE "C",
        expires_at timestamptz,
        ended_because text COLLATE "C",
        synced_at timestamptz,
        is_erased boolean,
        extra jsonb,
        PRIMARY KEY (mongo_id),
        CONSTRAINT postgres_sessions_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL AND
                deleted_at IS NULL AND deleted_by IS NULL AND user_id IS NULL AND token_hash IS NULL AND
                expires_at IS NULL AND ended_because IS NULL AND extra IS NULL
            )
        )
    );
    CREATE INDEX sessions_expires ON postgres_sessions (expires_at NULLS FIRST, mongo_id);
    CREATE INDEX sessions_user ON postgres_sessions
        (user_id NULLS FIRST, created_at NULLS FIRST, mongo_id);
"""

WIDER_TASKS = """
    ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_erased;
    ALTER TABLE postgres_tasks
        ADD COLUMN owner_id text COLLATE "C",
        ADD COLUMN team_id text COLLATE "C",
        ADD COLUMN display_id bigint,
        ADD COLUMN deferred_till timestamptz,
        ADD COLUMN assignee_id text COLLATE "C",
        ADD COLUMN assignee_type text COLLATE "C",
        ADD COLUMN executor_id text COLLATE "C",
        ADD CONSTRAINT postgres_tasks_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL AND
                deleted_at IS NULL AND deleted_by IS NULL AND title IS NULL AND description IS NULL AND
                status IS NULL AND priority IS NULL AND project_id IS NULL AND parent_id IS NULL AND
                label_ids IS NULL AND started_at IS NULL AND due_at IS NULL AND is_acknowledged IS NULL AND
                external_key IS NULL AND deleted_reason IS NULL AND owner_id IS NULL AND team_id IS NULL AND
                display_id IS NULL AND deferred_till IS NULL AND assignee_id IS NULL AND assignee_type IS
                NULL AND executor_id IS NULL AND extra IS NULL AND words IS NULL
            )
        );
    UPDATE postgres_tasks SET owner_id = created_by;
    DROP INDEX tasks_creator_created;
    DROP INDEX tasks_creator_updated;
    CREATE UNIQUE INDEX tasks_display_id ON postgres_tasks (display_id) WHERE display_id IS NOT NULL;
    CREATE INDEX tasks_owner_created ON postgres_tasks
        (owner_id NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX tasks_owner_updated ON postgres_tasks
        (owner_id NULLS FIRST, updated_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX tasks_team_created ON postgres_tasks
        (team_id NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted AND team_id IS NOT NULL;
    CREATE INDEX tasks_assignee_created ON postgres_tasks
        (assignee_id NULLS FIRST, created_at NULLS FIRST, mongo_id)
        WHERE NOT is_deleted AND assignee_id IS NOT NULL;
    CREATE INDEX tasks_executor_created ON postgres_tasks
        (executor_id NULLS FIRST, created_at NULLS FIRST, mongo_id)
        WHERE NOT is_deleted AND executor_id IS NOT NULL;
    CREATE INDEX tasks_deleted ON postgres_tasks
        (deleted_at NULLS FIRST, mongo_id) WHERE is_deleted AND deleted_at IS NOT NULL;
"""

TRASH_INDEXES = """
    CREATE INDEX projects_deleted ON postgres_projects
        (deleted_at NULLS FIRST, mongo_id) WHERE is_deleted AND deleted_at IS NOT NULL;
    CREATE INDEX labels_deleted ON postgres_labels
        (deleted_at NULLS FIRST, mongo_id) WHERE is_deleted AND deleted_at IS NOT NULL;
"""

NARROWER_TASKS = """
    ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_erased;
    ALTER TABLE postgres_tasks
        DROP COLUMN owner_id,
        DROP COLUMN team_id,
        DROP COLUMN display_id,
        DROP COLUMN deferred_till,
        DROP COLUMN assignee_id,
        DROP COLUMN assignee_type,
        DROP COLUMN executor_id,
        ADD CONSTRAINT postgres_tasks_erased CHECK (
            is_erased IS NOT TRUE OR (
                created_at IS NULL AND created_by IS NULL AND updated_at IS NULL AND updated_by IS NULL
                AND deleted_at IS NULL AND deleted_by IS NULL AND title IS NULL AND description IS NULL
                AND status IS NULL AND priority IS NULL AND project_id IS NULL AND parent_id IS NULL
                AND label_ids IS NULL AND started_at IS NULL AND due_at IS NULL AND
                is_acknowledged IS NULL AND external_key IS NULL AND deleted_reason IS NULL AND
                extra IS NULL AND words IS NULL
            )
        );
    DROP INDEX tasks_deleted;
    CREATE INDEX tasks_creator_created ON postgres_tasks
        (created_by NULLS FIRST, created_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    CREATE INDEX tasks_creator_updated ON postgres_tasks
        (created_by NULLS FIRST, updated_at NULLS FIRST, mongo_id) WHERE NOT is_deleted;
    DROP INDEX projects_deleted;
    DROP INDEX labels_deleted;
"""

CREATED = {
    "postgres_roles": ROLES,
    "postgres_teams": TEAMS,
    "postgres_team_members": TEAM_MEMBERS,
    "postgres_task_assignments": TASK_ASSIGNMENTS,
    "postgres_watchlists": WATCHLISTS,
    "postgres_sessions": SESSIONS,
}


def upgrade() -> None:
    for statements in (*CREATED.values(), WIDER_TASKS, TRASH_INDEXES):
        op.execute(statements)


def downgrade() -> None:
    op.execute(NARROWER_TASKS)
    for table in CREATED:
        op.execute(f"DROP TABLE {table}")
