"""Somebody removes parts of the schema under the running service: every probe and command names them and a remedy."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.integration.cli.conftest import StartCommand, StartService
from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_until
from tests.servers.tables import run_statements

MISSING = "The unique key labels_name of the table postgres_labels is missing"
COLUMN = "request_id"
GONE = f"The column {COLUMN} of the table postgres_audit_logs is missing"
UNLOGGED = "The table postgres_labels is unlogged"
SLOW = "The index tasks_created of the table postgres_tasks is missing"


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    made = postgres_server.create_prepared_database()
    yield made
    postgres_server.drop_database(made)


def _health(service: ServiceProcess) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{service.url}/v1/health", trust_env=False).json()
    return dict(answer["components"])


def _says(service: ServiceProcess, words: str, *, component: str = "db") -> Callable[[], bool]:
    return lambda: words in (_health(service)[component].get("detail") or "")


def _until(condition: Callable[[], bool]) -> None:
    wait_until(condition, seconds_max=20, reason="health does not say so")


def _checks(doctor: TandemProcess) -> dict[str, Any]:
    return {check["subject"]: check for check in json.loads(doctor.said())["checks"]}


def test_what_is_missing_is_named_while_the_service_runs_and_made_anew(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "postgres", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()

    run_statements(url, "DROP INDEX tasks_created")
    doctor = start_command("doctor", **variables)
    assert doctor.wait_ended() == 0
    schema = _checks(doctor)["schema"]
    assert (schema["isWarning"], SLOW in schema["message"]) == (True, True)
    assert _health(service)["db"]["status"] == "UP"

    run_statements(url, "DROP INDEX labels_name", "ALTER TABLE postgres_labels SET UNLOGGED")
    _until(_says(service, MISSING))
    assert _health(service)["db"]["status"] == "DEGRADED"
    doctor = start_command("doctor", **variables)
    assert doctor.wait_ended() == 1
    schema = _checks(doctor)["schema"]
    assert (MISSING in schema["message"], UNLOGGED in schema["message"]) == (True, True)
    assert "Type: tandem migrate up" in schema["remedy"]
    status = start_command("migrate", "status", **variables)
    assert status.wait_ended() == 1
    assert MISSING in str(json.loads(status.said())["flaws"])

    assert start_command("migrate", "up", **variables).wait_ended() == 0
    _until(lambda: _health(service)["db"]["status"] == "UP")
    doctor = start_command("doctor", **variables)
    assert doctor.wait_ended() == 0
    assert not any(check["isWarning"] for check in _checks(doctor).values())


def test_a_column_that_alters_values_is_named_while_the_service_runs_and_changed_back(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "postgres", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()
    changed = "The column due_at of the table postgres_tasks has the type timestamp(0) with time zone"
    run_statements(url, "ALTER TABLE postgres_tasks ALTER due_at TYPE timestamptz(0)")
    _until(_says(service, changed))
    assert _health(service)["db"]["status"] == "DEGRADED"
    doctor = start_command("doctor", **variables)
    status = start_command("migrate", "status", **variables)
    assert (doctor.wait_ended(), status.wait_ended()) == (1, 1)
    assert changed in _checks(doctor)["schema"]["message"]
    assert "Type: tandem migrate up" in _checks(doctor)["schema"]["remedy"]
    assert changed in str(json.loads(status.said())["flaws"])

    assert start_command("migrate", "up", **variables).wait_ended() == 0
    _until(lambda: _health(service)["db"]["status"] == "UP")
    assert start_command("doctor", **variables).wait_ended() == 0


def test_a_target_that_would_alter_values_takes_over_no_ownership(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()
    changed = "The column description of the table postgres_tasks has the type character(40) instead of text"
    run_statements(url, "ALTER TABLE postgres_tasks ALTER description TYPE char(40)")
    _until(_says(service, changed, component="target"))
    status = start_command("move", "status", **variables)
    assert status.wait_ended() == 1
    (schema,) = (guard for guard in json.loads(status.said())["guards"] if guard["code"] == "schema")
    assert (schema["green"], changed in schema["detail"]) == (False, True)
    preflight = start_command("move", "preflight", **variables)
    assert preflight.wait_ended() == 1
    assert changed in preflight.said()


def test_a_deleted_revision_is_named_and_recorded_again(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "postgres", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()
    deleted = "The table alembic_version has no row although there are tables of Tandem"
    for is_running in (True, False):
        run_statements(url, "DELETE FROM alembic_version")
        if is_running:
            _until(_says(service, deleted))
            assert _health(service)["db"]["status"] == "DEGRADED"
        doctor, status = start_command("doctor", **variables), start_command("migrate", "status", **variables)
        assert (is_running, doctor.wait_ended(), status.wait_ended()) == (is_running, 1, 1)
        assert deleted in _checks(doctor)["schema"]["message"]
        assert _checks(doctor)["schema"]["remedy"] == "Type: tandem migrate up"
        assert deleted in str(json.loads(status.said())["flaws"])
        assert (is_running, start_command("migrate", "up", **variables).wait_ended()) == (is_running, 0)
        if is_running:
            _until(lambda: _health(service)["db"]["status"] == "UP")
            assert service.stop() == 0
    start_service(**variables).wait_ready()


@pytest.mark.torture
def test_an_unknown_revision_is_named_with_the_version_to_run(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "postgres", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()
    run_statements(url, "UPDATE alembic_version SET version_num = 'deadbeef'")
    remedy = "Run the version of Tandem that has the migration deadbeef"
    _until(_says(service, "alembic_version records deadbeef, and this program needs 0001"))
    commands = {
        words: start_command(*words, as_json=False, **variables)
        for words in (("doctor",), ("migrate", "status"), ("migrate", "up"))
    }
    for words, command in commands.items():
        assert (words, command.wait_ended()) == (words, 1)
        said = " ".join((command.said() + command.log.read_text()).split())
        assert (words, remedy in said, "type: tandem migrate up" in said.lower()) == (words, True, False)
    assert service.stop() == 0
    refused, up = start_command("serve", **variables), start_command("migrate", "up", **variables)
    assert (refused.wait_ended(), up.wait_ended()) == (3, 3)
    assert (remedy in refused.said(), remedy in up.said()) == (True, True)
    run_statements(url, "DELETE FROM alembic_version; INSERT INTO alembic_version VALUES ('0001')")
    start_service(**variables).wait_ready()


@pytest.mark.torture
def test_a_migration_that_cannot_make_a_column_anew_is_no_success(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "postgres", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()
    run_statements(url, f"ALTER TABLE postgres_audit_logs RENAME {COLUMN} TO kept")
    for is_running in (True, False):
        command = start_command("migrate", "up", **variables)
        assert (is_running, command.wait_ended()) == (is_running, 1)
        assert GONE in str(json.loads(command.said())["flaws"])
        if is_running:
            assert service.stop() == 0
    run_statements(url, f"ALTER TABLE postgres_audit_logs RENAME kept TO {COLUMN}")
    assert start_command("migrate", "up", **variables).wait_ended() == 0


@pytest.mark.torture
def test_a_target_is_mended_beside_a_service_that_holds_an_embedded_source(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()
    _until(lambda: _health(service)["target"]["status"] == "UP")
    run_statements(url, "DROP INDEX labels_name")
    _until(_says(service, MISSING, component="target"))
    assert start_command("migrate", "up", **variables).wait_ended() == 0
    _until(lambda: _health(service)["target"]["status"] == "UP")


def test_a_renamed_schema_is_named_everywhere_and_the_statement_brings_it_back(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "postgres", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()
    run_statements(url, "ALTER SCHEMA public RENAME TO kept", "CREATE SCHEMA public")
    remedy = "ALTER SCHEMA public RENAME TO public_beside; ALTER SCHEMA kept RENAME TO public"
    _until(_says(service, remedy))
    assert httpx.get(f"{service.url}/readyz", trust_env=False).status_code == 503
    for words in (("doctor",), ("sync", "status"), ("migrate", "status"), ("migrate", "up")):
        command = start_command(*words, as_json=False, **variables)
        assert command.wait_ended() == 3
        said = " ".join((command.said() + command.log.read_text()).split())
        assert (words, remedy in said, "type: tandem migrate up" in said.lower()) == (words, True, False)
    run_statements(url, remedy)
    _until(lambda: _health(service)["db"]["status"] == "UP")


@pytest.mark.torture
def test_tables_that_are_gone_are_named_without_a_command_that_refuses(
    url: str, start_service: StartService, start_command: StartCommand
) -> None:
    variables = {"STORE": "postgres", "POSTGRES_URL": url}
    service = start_service(**variables)
    service.wait_ready()
    run_statements(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    _until(_says(service, "restore the database from a copy"))
    for words in (("doctor",), ("migrate", "status"), ("migrate", "up")):
        command = start_command(*words, as_json=False, **variables)
        assert command.wait_ended() == 3
        said = " ".join((command.said() + command.log.read_text()).split())
        assert (words, "estore" in said, "type: tandem migrate up" in said.lower()) == (words, True, False)
