"""Something real is broken, and every probe, page and command names the same cause."""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import httpx
import psycopg

from adapters.dual_write.synchronisation import METRICS_AGE_SECONDS_MAX
from adapters.postgres import causes
from tests.integration.cli.conftest import StartCommand, StartService
from tests.integration.crash.tandem_process import ServiceProcess
from tests.servers.postgres import OwnPostgresServer
from tests.servers.processes import wait_until
from tests.servers.report import times_slower

NAMED_SECONDS_MAX = 20.0
ROLE = "mirror"
PAGE = 4_096
DAMAGE = b"\xff" * PAGE
STORE_SECONDS_MAX = 5.0
"""How long a command may wait for a server."""
START_SECONDS_MAX = 4.0
"""What the start of the program may add on the machine to which bounds refer."""
Break = Callable[[psycopg.Connection[tuple[object, ...]], str], None]


def forbid_login(admin: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    admin.execute(f"ALTER ROLE {ROLE} NOLOGIN")


def limit_connections(admin: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    admin.execute(f"ALTER ROLE {ROLE} LOGIN CONNECTION LIMIT 0")


def is_unused(admin: psycopg.Connection[tuple[object, ...]], database: str) -> bool:
    """Ends the sessions of the database; whether none is left."""
    sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    return not admin.execute(sessions, [database]).fetchall()


def rename_database(admin: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    wait_until(lambda: is_unused(admin, database), seconds_max=10, reason="the database is still in use")
    admin.execute(f"ALTER DATABASE {database} RENAME TO elsewhere_{database}")
    admin.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


REFUSALS: Sequence[tuple[Break, str]] = (
    (forbid_login, causes.NO_LOGIN),
    (limit_connections, causes.NO_SLOTS),
    (rename_database, causes.NO_DATABASE),
)
"""Each takes the place of the one before it, so that one service meets them all."""


def test_a_target_that_refuses_us_is_named_by_all(
    own_postgres_server: OwnPostgresServer, start_service: StartService, start_command: StartCommand
) -> None:
    url = own_postgres_server.create_database()
    database = url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(own_postgres_server.url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {ROLE} LOGIN SUPERUSER")
        admin.execute(f"ALTER ROLE {ROLE} NOSUPERUSER")
        admin.execute(f"ALTER DATABASE {database} OWNER TO {ROLE}")
        target = url.replace("://tandem@", f"://{ROLE}@")
        service = start_service(STORE="dual", DUAL_WRITE_SOURCE="monty", POSTGRES_URL=target)
        service.wait_ready()
        for break_it, cause in REFUSALS:
            break_it(admin, database)
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [ROLE])
            require_named(service, start_command, cause)


def require_named(service: ServiceProcess, start_command: StartCommand, cause: str) -> None:
    """Health, the start page, metrics and commands name the cause, while the service stays ready."""
    wait_until(
        lambda: target_of(service).get("detail") == cause,
        seconds_max=NAMED_SECONDS_MAX,
        reason=f"health does not name the cause: {target_of(service)}",
    )
    assert target_of(service)["status"] == "DOWN"
    assert cause.partition("(")[0].rstrip(" .") in httpx.get(service.url, trust_env=False).text
    wait_until(
        lambda: cause in httpx.get(f"{service.url}/metrics", trust_env=False).text,
        seconds_max=METRICS_AGE_SECONDS_MAX * times_slower(),
        reason="the metrics do not name the cause",
    )
    assert httpx.get(f"{service.url}/readyz", trust_env=False).status_code == 200
    doctor = start_command("doctor")
    began = time.monotonic()
    assert doctor.wait_ended() == 1
    require_prompt(time.monotonic() - began)
    assert cause in doctor.said()
    status = start_command("sync", "status")
    status.wait_ended()
    assert cause in json.loads(status.said())["breaker"]["reason"]


def test_a_damaged_page_takes_the_service_down_until_a_copy_is_restored(
    start_service: StartService, start_command: StartCommand, data_directory: Path
) -> None:
    start_command("demo").wait_ended()
    file = data_directory / "monty" / "tandem.sqlite"
    sound = file.read_bytes()
    with closing(sqlite3.connect(file)) as connection:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'tasks'")
    place = (root - 1) * PAGE
    file.write_bytes(sound[:place] + DAMAGE + sound[place + PAGE :])
    service = start_service(STORE="monty")
    service.wait_ready()
    assert httpx.get(f"{service.url}/readyz", trust_env=False).status_code == 200

    answer = httpx.get(f"{service.url}/v1/tasks", headers=signed_in(service), trust_env=False)
    assert answer.status_code == 503

    ready = httpx.get(f"{service.url}/readyz", trust_env=False)
    assert (ready.status_code, "is damaged" in ready.json()["detail"]) == (503, True)
    health = httpx.get(f"{service.url}/v1/health", trust_env=False).json()
    assert health["status"] == "DOWN"
    assert "is damaged" in httpx.get(service.url, trust_env=False).text
    doctor = start_command("doctor")
    assert doctor.wait_ended() == 3
    assert "is damaged" in doctor.said()
    assert "kill" not in doctor.said()
    for words in (("sync", "status"), ("move", "status")):
        status = start_command(*words)
        assert status.wait_ended() == 3
        assert "is damaged" in json.loads(status.said())["sourceTrouble"]

    assert service.stop() == 0
    restored = bytearray(file.read_bytes())
    restored[place : place + PAGE] = sound[place : place + PAGE]
    file.write_bytes(restored)
    service.start()
    service.wait_ready()
    assert httpx.get(f"{service.url}/readyz", trust_env=False).status_code == 200


def test_a_locked_table_of_the_source_is_named_by_all(
    prepared_postgres_url: str, start_service: StartService, start_command: StartCommand
) -> None:
    settings = {"STORE": "postgres", "POSTGRES_URL": prepared_postgres_url}
    service = start_service(**settings)
    service.wait_ready()
    headers = signed_in(service)
    with psycopg.connect(prepared_postgres_url, application_name="nightly") as other:
        other.execute("LOCK TABLE postgres_labels IN SHARE MODE")
        cause = (
            "has locked postgres_labels of PostgreSQL, so nothing was read or saved there:"
            f" session {other.info.backend_pid} (nightly"
        )
        answer = httpx.post(
            f"{service.url}/v1/labels", json={"name": "later"}, headers=headers, timeout=20.0, trust_env=False
        )
        assert answer.status_code == 503
        assert cause in answer.json()["detail"]
        ready, metrics = (
            httpx.get(f"{service.url}/{path}", timeout=20.0, trust_env=False)
            for path in ("readyz", "metrics")
        )
        assert ready.status_code == 503
        assert cause in ready.json()["detail"]
        (line,) = (
            one for one in metrics.text.splitlines() if one.startswith('tandem_component_up{component="db"')
        )
        assert cause in line
        assert line.endswith("} 0")
        for words in (("doctor",), ("sync", "status")):
            command = start_command(*words, **settings)
            assert command.wait_ended() == 3
            assert cause in command.said()
            assert f"SELECT pg_terminate_backend({other.info.backend_pid})" in command.said()
    wait_until(lambda: is_ready(service), seconds_max=NAMED_SECONDS_MAX, reason="the source stays down")
    again = httpx.post(f"{service.url}/v1/labels", json={"name": "later"}, headers=headers, trust_env=False)
    assert again.status_code == 201


def is_ready(service: ServiceProcess) -> bool:
    return httpx.get(f"{service.url}/readyz", timeout=20.0, trust_env=False).status_code == 200


def test_a_frozen_server_keeps_no_command_longer_than_five_seconds(
    own_postgres_server: OwnPostgresServer, start_command: StartCommand
) -> None:
    settings = {"STORE": "postgres", "POSTGRES_URL": own_postgres_server.create_database()}
    own_postgres_server.freeze()
    try:
        for words in (("doctor",), ("sync", "status"), ("migrate", "status")):
            began = time.monotonic()
            command = start_command(*words, **settings)
            assert command.wait_ended() == 3
            require_prompt(time.monotonic() - began)
    finally:
        own_postgres_server.thaw()


def require_prompt(seconds: float) -> None:
    """Fails a command that waited too long; the rest of the time the program starts, which a busy machine draws out."""
    assert seconds < STORE_SECONDS_MAX + START_SECONDS_MAX * times_slower()


def signed_in(service: ServiceProcess) -> dict[str, str]:
    answer = httpx.post(
        f"{service.url}/v1/auth/dev/token", json={"email": "demo@example.com"}, trust_env=False
    )
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


def target_of(service: ServiceProcess) -> dict[str, str]:
    assert signed_in(service)  # a write, so that the target is called
    health = httpx.get(f"{service.url}/v1/health", trust_env=False).json()
    target: dict[str, str] = health["components"]["target"]
    return target
