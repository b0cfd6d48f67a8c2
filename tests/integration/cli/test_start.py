"""How the service and the commands start: stores that come late or never, servers and settings that will not do."""

import json
import socket
import time

import httpx
import pytest

from entrypoints.cli.session import STORE_WAIT_SECONDS_MAX
from tests.integration.cli.conftest import StartCommand, StartService
from tests.integration.crash.tandem_process import READY_SECONDS_MAX, ServiceProcess
from tests.servers.mongo import StandInMongoServer
from tests.servers.postgres import OwnPostgresServer
from tests.servers.processes import wait_until
from tests.unit.entrypoints.cli.conftest import NOWHERE

ANSWER_SECONDS_MAX = 15.0
START_SECONDS_MAX = 30.0
"""What starting the program may add to the time that a command waits for a store."""
UNREACHABLE = [
    ({"STORE": "postgres", "POSTGRES_URL": NOWHERE}, "PostgreSQL cannot be reached"),
    ({"STORE": "mongo", "MONGODB_URI": "mongodb://127.0.0.1:1/?replicaSet=nothing"}, "does not answer"),
]
"""Stores that are not there, and what must be said of them."""
DRIVER_WORDS = ("Traceback", "psycopg", "pymongo", "Errno", "Connection refused", "ServerSelection")


def status_of(service: ServiceProcess, path: str) -> int | None:
    """The status of a GET; None where nobody listens yet."""
    try:
        return httpx.get(service.url + path, timeout=ANSWER_SECONDS_MAX, trust_env=False).status_code
    except httpx.ConnectError:
        return None


def wait_for_status(service: ServiceProcess, path: str, status: int) -> None:
    wait_until(
        lambda: status_of(service, path) == status,
        seconds_max=READY_SECONDS_MAX,
        reason=f"{path} did not answer {status}",
    )


def ask(
    service: ServiceProcess, method: str, path: str, body: object = None, token: str = ""
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(
        method, service.url + path, json=body, headers=headers, timeout=ANSWER_SECONDS_MAX, trust_env=False
    )


def signed_in(service: ServiceProcess) -> str:
    """A token of the first user."""
    answer = ask(service, "POST", "/v1/auth/dev/token", {"email": "anna@example.org"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["accessToken"])


def test_a_service_waits_for_a_store_that_comes_late(
    own_postgres_server: OwnPostgresServer, start_service: StartService
) -> None:
    url = own_postgres_server.create_database()
    own_postgres_server.kill()

    service = start_service(STORE="postgres", POSTGRES_URL=url)

    wait_for_status(service, "/livez", 200)
    assert [status_of(service, path) for path in ("/readyz", "/startupz", "/v1/health")] == [503, 503, 503]
    refused = ask(service, "POST", "/v1/auth/dev/token", {"email": "anna@example.org"})
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert int(refused.headers["retry-after"]) > 0

    own_postgres_server.restart()

    wait_for_status(service, "/readyz", 200)
    assert [status_of(service, path) for path in ("/startupz", "/v1/health")] == [200, 200]
    assert ask(service, "GET", "/v1/users/me", token=signed_in(service)).status_code == 200
    assert service.stop() == 0
    assert "Traceback" not in service.log.read_text()


def test_a_target_that_comes_late_keeps_nobody_waiting_and_gets_everything(
    own_postgres_server: OwnPostgresServer, start_service: StartService
) -> None:
    url = own_postgres_server.create_database()
    own_postgres_server.kill()

    service = start_service(STORE="dual", DUAL_WRITE_SOURCE="monty", POSTGRES_URL=url)

    wait_for_status(service, "/readyz", 200)
    health = ask(service, "GET", "/v1/health").json()
    assert (health["status"], health["components"]["target"]["status"]) == ("UP", "DOWN")
    token = signed_in(service)
    made = ask(service, "POST", "/v1/projects", {"name": "Garden"}, token)
    assert made.status_code == 201
    path = f"/v1/sync/status/projects/{made.json()['id']}"
    assert ask(service, "GET", path, token=token).json()["status"] == "PENDING"

    own_postgres_server.restart()

    def is_mirrored() -> bool:
        record = ask(service, "GET", path, token=token).json()
        return (record["status"], record["targetVersion"]) == ("SYNCED", 1)

    wait_until(is_mirrored, seconds_max=READY_SECONDS_MAX, reason="the project was not mirrored")
    assert ask(service, "GET", "/v1/health").json()["components"]["target"]["status"] == "UP"


def test_commands_give_a_store_up_after_a_bounded_time_and_say_so(start_command: StartCommand) -> None:
    began = time.monotonic()
    waiting = [
        (start_command(*words, **store), sentence)
        for store, sentence in UNREACHABLE
        for words in (("sync", "status"), ("migrate", "status"))
    ]
    for command, sentence in waiting:
        code = command.wait_ended()
        error = json.loads(command.said())["error"]
        assert (code, error["code"]) == (3, "store_unavailable")
        assert sentence in error["message"]
        said = command.said() + command.log.read_text()
        assert [word for word in DRIVER_WORDS if word in said] == []
    assert time.monotonic() - began < STORE_WAIT_SECONDS_MAX + START_SECONDS_MAX


def test_faulty_settings_are_all_named_before_a_port_is_opened(start_command: StartCommand) -> None:
    faulty = {
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": "postgres",
        "DUAL_WRITE_MODE": "sometimes",
        "MONGODB_URI": "http://127.0.0.1",
        "RETENTION_DAYS": "0",
        "LOG_LEVEL": "LOUD",
    }
    named = {*faulty, "DUAL_WRITE_TARGET", "POSTGRES_URL"} - {"STORE", "DUAL_WRITE_SOURCE"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # Had it tried to listen, it would complain of the port and of nothing else.
        command = start_command("serve", "--port", str(taken.getsockname()[1]), **faulty)
        code = command.wait_ended()

    error = json.loads(command.said())["error"]
    assert (code, error["code"]) == (2, "settings")
    assert {detail.split()[0] for detail in error["details"]} == named


@pytest.mark.parametrize(
    "words", [("serve", "--port", "0"), ("migrate", "up"), ("sync", "status")], ids=" ".join
)
def test_a_mongodb_without_replica_set_is_refused_with_its_remedy(
    standalone_mongo_server: StandInMongoServer, start_command: StartCommand, words: tuple[str, ...]
) -> None:
    command = start_command(*words, STORE="mongo", MONGODB_URI=standalone_mongo_server.uri)

    code = command.wait_ended()

    error = json.loads(command.said())["error"]
    assert (code, error["code"]) == (3, "store_refused")
    assert "--replSet" in error["message"]
    assert "rs.initiate()" in error["message"]
    assert "Traceback" not in command.log.read_text()
