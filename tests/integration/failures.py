"""The failures of docs/reference/failures.md: how each is brought about, and put right, on a real PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from adapters.records.record import Record
from tests.unit.contracts.builders import label, task

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "failures.md"
POISON = "poison"
KNOWN = 1
"""The number of the label and the task that are in both stores before the failure."""
CONCERNED = 2

Statements = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One failure of the table."""

    failure: str
    concerns: str
    shown_as: str
    reason: str


def documented_rows() -> list[Row]:
    """The rows of the first table of the page."""
    lines = DOCUMENT.read_text().split("\n\n")[2].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return [Row(*row[:4]) for row in cells]


def _trigger(condition: str, action: str, *, table: str = "postgres_labels") -> Statements:
    body = f"BEGIN IF {condition} THEN {action}; END IF; RETURN NEW; END"
    language = "LANGUAGE plpgsql SECURITY DEFINER"
    return (
        f"CREATE FUNCTION trouble() RETURNS trigger {language} AS $${body}$$",
        f"CREATE TRIGGER trouble BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION trouble()",
    )


def _on_new_rows(condition: str, action: str, *, when: str, table: str = "postgres_labels") -> Statements:
    """A trigger that lets rows through that the table holds already, whatever else is written to them."""
    body = f"BEGIN IF {condition} THEN {action}; END IF; RETURN NEW; END"
    language = "LANGUAGE plpgsql SECURITY DEFINER"
    return (
        f"CREATE FUNCTION trouble() RETURNS trigger {language} AS $${body}$$",
        f"CREATE TRIGGER trouble {when} INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION trouble()",
    )


def _deferred(condition: str) -> Statements:
    """A trigger that runs at the commit."""
    body = f"BEGIN IF {condition} THEN RAISE EXCEPTION 'too late'; END IF; RETURN NULL; END"
    deferred = "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trouble()"
    return (
        f"CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $${body}$$",
        f"CREATE CONSTRAINT TRIGGER trouble AFTER INSERT OR UPDATE ON postgres_labels {deferred}",
    )


_NO_TRIGGER = ("DROP FUNCTION trouble CASCADE",)
_IS_NEW = "NOT EXISTS (SELECT FROM postgres_labels WHERE mongo_id = NEW.mongo_id)"
_IS_POISON = f"NEW.name = '{POISON}'"
_FULL = (
    """RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100'"""
)


def _raise(state: str) -> str:
    return f"RAISE EXCEPTION 'no' USING ERRCODE = '{state}'"


def _poison() -> Record:
    return label(CONCERNED, name=POISON)


@dataclass(frozen=True, slots=True)
class Failure:
    """Statements of a superuser, with {role} and {database} filled in; `holding` stays open until it is put right.

    `unless_used` follow once the mirror has no session any more: a session that is open stays usable, so that as long
    as one is left the server is not down.
    """

    record: Callable[[], Record] = _poison
    collection: str = "labels"
    before: Statements = ()
    ends_sessions: bool = False
    unless_used: Statements = ()
    holding: str | None = None
    after: Statements = ()
    elsewhere: bool = False
    """Whether the statements run in another database, because nobody can connect to this one."""
    alters_column: bool = False
    """Whether the check of the schema shows it at the target, too."""
    is_about_a_copy: bool = False
    """Whether another installation's database must be made first, as {database}_foreign."""


FAILURES: dict[str, Failure] = {
    "a trigger that raises an error": Failure(
        before=_trigger(_IS_POISON, "RAISE EXCEPTION 'We do not want %', NEW.name"), after=_NO_TRIGGER
    ),
    "a rule that is checked at the commit": Failure(before=_deferred(_IS_POISON), after=_NO_TRIGGER),
    "a rule that rejects every row at the commit": Failure(before=_deferred("true"), after=_NO_TRIGGER),
    "a unique index made by hand": Failure(
        record=lambda: label(CONCERNED, color=label(KNOWN)["color"]),
        before=(
            f"CREATE UNIQUE INDEX by_color ON postgres_labels (color) WHERE name ~ '^Label [{KNOWN}{CONCERNED}]$'",
        ),
        after=("DROP INDEX by_color",),
    ),
    "a CHECK made by hand": Failure(
        before=(f"ALTER TABLE postgres_labels ADD CONSTRAINT short_names CHECK (name <> '{POISON}')",),
        after=("ALTER TABLE postgres_labels DROP CONSTRAINT short_names",),
    ),
    "a column made NOT NULL by hand": Failure(
        record=lambda: task(CONCERNED),
        collection="tasks",
        before=("ALTER TABLE postgres_tasks ALTER description SET NOT NULL",),
        after=("ALTER TABLE postgres_tasks ALTER description DROP NOT NULL",),
        alters_column=True,
    ),
    "a trigger that drops the row": Failure(before=_trigger(_IS_POISON, "RETURN NULL"), after=_NO_TRIGGER),
    "a version raised by hand": Failure(
        record=lambda: label(KNOWN, version=2, name="Edited"),
        before=(f"UPDATE postgres_labels SET version = 1000 WHERE name = 'Label {KNOWN}'",),
        after=(f"UPDATE postgres_labels SET version = 1 WHERE name = 'Label {KNOWN}'",),
    ),
    "a record that closes the connection": Failure(
        before=_trigger(_IS_POISON, "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1)"),
        after=_NO_TRIGGER,
    ),
    "a trigger that claims an outage": Failure(
        before=_trigger(_IS_POISON, _raise("08001")), after=_NO_TRIGGER
    ),
    "a locked row": Failure(
        record=lambda: label(KNOWN, version=2, name="Edited"),
        holding=f"SELECT 1 FROM postgres_labels WHERE name = 'Label {KNOWN}' FOR UPDATE",
    ),
    "a locked table": Failure(holding="LOCK TABLE postgres_labels IN SHARE MODE"),
    "a dropped column": Failure(
        before=("ALTER TABLE postgres_labels RENAME color TO colour",),
        after=("ALTER TABLE postgres_labels RENAME colour TO color",),
    ),
    "a revoked privilege": Failure(
        before=("REVOKE INSERT ON postgres_labels FROM {role}",),
        after=("GRANT INSERT ON postgres_labels TO {role}",),
    ),
    "a full tablespace": Failure(before=_trigger("true", _FULL), after=_NO_TRIGGER),
    "a trigger that raises an error for every row": Failure(
        before=_trigger("true", "RAISE EXCEPTION 'closed for today'"), after=_NO_TRIGGER
    ),
    "a trigger that raises an error after each new row": Failure(
        before=_on_new_rows("true", "RAISE EXCEPTION 'no % any more', NEW.name", when="AFTER"),
        after=_NO_TRIGGER,
    ),
    "a trigger that raises an error unless the row is known": Failure(
        before=_on_new_rows(_IS_NEW, "RAISE EXCEPTION 'nothing new'", when="BEFORE"), after=_NO_TRIGGER
    ),
    "a trigger that needs a dropped table for each new row": Failure(
        before=_on_new_rows("true", "INSERT INTO archive VALUES (NEW.mongo_id)", when="AFTER"),
        after=_NO_TRIGGER,
    ),
    "a trigger that drops each new row": Failure(
        before=_on_new_rows(_IS_NEW, "RETURN NULL", when="BEFORE"), after=_NO_TRIGGER
    ),
    "a trigger that claims an outage for every row": Failure(
        before=_trigger("true", _raise("57P03")), after=_NO_TRIGGER
    ),
    "row-level security without a policy": Failure(
        before=("ALTER TABLE postgres_labels ENABLE ROW LEVEL SECURITY",),
        after=("ALTER TABLE postgres_labels DISABLE ROW LEVEL SECURITY",),
    ),
    "a trigger that drops every row": Failure(before=_trigger("true", "RETURN NULL"), after=_NO_TRIGGER),
    "a trigger that drops the entries of one table": Failure(
        before=_trigger("NEW.collection = 'labels'", "RETURN NULL", table="postgres_audit_logs"),
        after=_NO_TRIGGER,
    ),
    "a trigger that drops every audit entry": Failure(
        before=_trigger("true", "RETURN NULL", table="postgres_audit_logs"), after=_NO_TRIGGER
    ),
    "a rule that drops every audit entry": Failure(
        before=("CREATE RULE trouble AS ON INSERT TO postgres_audit_logs DO INSTEAD NOTHING",),
        after=("DROP RULE trouble ON postgres_audit_logs",),
    ),
    "a trigger that raises an error after each audit entry": Failure(
        before=_on_new_rows("true", "RAISE EXCEPTION 'no'", when="AFTER", table="postgres_audit_logs"),
        after=_NO_TRIGGER,
    ),
    "a locked table of audit entries": Failure(holding="LOCK TABLE postgres_audit_logs IN SHARE MODE"),
    "a revoked privilege on the mirror's own tables": Failure(
        before=("REVOKE INSERT, UPDATE ON tandem_seen FROM {role}",),
        after=("GRANT INSERT, UPDATE ON tandem_seen TO {role}",),
    ),
    "a trigger on the mirror's own tables": Failure(
        before=_trigger("true", _raise("P0001"), table="tandem_lanes"), after=_NO_TRIGGER
    ),
    "a role without LOGIN": Failure(
        before=("ALTER ROLE {role} NOLOGIN",), ends_sessions=True, after=("ALTER ROLE {role} LOGIN",)
    ),
    "a connection limit of 0": Failure(
        before=("ALTER DATABASE {database} CONNECTION LIMIT 0",),
        ends_sessions=True,
        after=("ALTER DATABASE {database} CONNECTION LIMIT -1",),
    ),
    "a database that is gone": Failure(
        before=("ALTER DATABASE {database} ALLOW_CONNECTIONS false",),
        ends_sessions=True,
        unless_used=("ALTER DATABASE {database} RENAME TO {database}_gone",),
        after=(
            "ALTER DATABASE {database}_gone RENAME TO {database}",
            "ALTER DATABASE {database} ALLOW_CONNECTIONS true",
        ),
        elsewhere=True,
    ),
    "another installation's database": Failure(
        before=("ALTER DATABASE {database} ALLOW_CONNECTIONS false",),
        ends_sessions=True,
        unless_used=(
            "ALTER DATABASE {database} RENAME TO {database}_home",
            "ALTER DATABASE {database}_foreign RENAME TO {database}",
        ),
        after=(
            "ALTER DATABASE {database} ALLOW_CONNECTIONS false",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",
            "ALTER DATABASE {database} RENAME TO {database}_foreign",
            "ALTER DATABASE {database}_home RENAME TO {database}",
            "ALTER DATABASE {database} ALLOW_CONNECTIONS true",
        ),
        elsewhere=True,
        is_about_a_copy=True,
    ),
}
"""How each failure is made in one database."""

OF_SERVERS = ("a read-only server", "a frozen server", "an absent standby", "a stopped server")
"""Those that concern every database of a server, so that nothing else can be tried at the same time."""
OF_COPIES = ("an older copy of the database",)
"""What is repaired without anybody, as soon as it is noticed."""
SESSIONS_GONE_SECONDS_MAX = 10.0
SESSIONS_GONE_CHECKS = 3
"""How often no session must be found in a row: one that is still logging in is not listed yet."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database of one test, and addresses of the server for a superuser; its role has the same name."""

    superuser_url: str
    elsewhere_url: str
    name: str

    @property
    def url(self) -> str:
        """The address with the role, which is no superuser."""
        return f"{self.superuser_url}&user={self.name}"


@contextmanager
def brought_about(failure: Failure, place: Place) -> Iterator[Callable[[], None]]:
    """Brings a failure about; the function that it yields puts it right."""
    url = place.elsewhere_url if failure.elsewhere else place.superuser_url
    names = {"role": place.name, "database": place.name}
    if failure.is_about_a_copy:
        _copy_for_another_installation(place)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in failure.before:
            is_named = "{role}" in statement or "{database}" in statement
            connection.execute(statement.format(**names) if is_named else statement)
        if failure.ends_sessions:
            end_sessions(connection, place.name)
        for statement in failure.unless_used:
            connection.execute(statement.format(**names))
        holder = None
        if failure.holding is not None:
            holder = psycopg.connect(place.superuser_url)
            holder.execute(failure.holding)

        def put_right() -> None:
            if holder is not None:
                holder.close()
            for statement in failure.after:
                connection.execute(statement.format(**names))

        yield put_right


def end_sessions(connection: psycopg.Connection[tuple[object, ...]], role: str) -> None:
    """Ends the sessions of a role that cannot begin another one, those that are just beginning included."""
    deadline = time.monotonic() + SESSIONS_GONE_SECONDS_MAX
    checks = 0
    while checks < SESSIONS_GONE_CHECKS:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,)
        )
        checks = 0 if ended.fetchall() else checks + 1
        assert time.monotonic() < deadline, f"sessions of {role} are left"
        time.sleep(0.05)


def copy_database(place: Place, name: str) -> None:
    """Makes a copy of the database, which nobody may use meanwhile; everybody can connect again afterwards."""
    with psycopg.connect(place.elsewhere_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS false")
        end_sessions(connection, place.name)
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {place.name}")
        connection.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS true")


def put_in_place(place: Place, name: str) -> None:
    """Lets a copy take the place of the database, as when it is restored."""
    with psycopg.connect(place.elsewhere_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS false")
        end_sessions(connection, place.name)
        connection.execute(f"ALTER DATABASE {place.name} RENAME TO {name}_before")
        connection.execute(f"ALTER DATABASE {name} RENAME TO {place.name}")


def _copy_for_another_installation(place: Place) -> None:
    name = f"{place.name}_foreign"
    copy_database(place, name)
    copied = urlsplit(place.superuser_url)._replace(path=f"/{name}").geturl()
    with psycopg.connect(copied, autocommit=True) as connection:
        connection.execute(
            "UPDATE tandem_control SET value = jsonb_set(value, '{installation}', '\"another\"')"
            " WHERE mongo_id = 'ownership'"
        )
        # Nobody of this installation has ever written there.
        connection.execute("DELETE FROM tandem_lanes")
