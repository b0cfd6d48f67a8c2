"""The commands of the move beside a service whose target hangs, or whose source is an older copy of itself."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.integration.cli.conftest import StartCommand, StartService
from tests.integration.crash.tandem_process import ServiceProcess
from tests.servers.postgres import OwnPostgresServer
from tests.servers.processes import wait_until
from tests.servers.report import times_slower

ANSWER_SECONDS_MAX = 5.0
START_SECONDS = 4.0
"""What starting the program may add; more on a busy machine."""


def dual(postgres_url: str) -> dict[str, str]:
    return {"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": postgres_url}


def add_label(service: ServiceProcess, name: str) -> int:
    """Creates a label over HTTP; the status of the answer."""
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        signed_in = client.post("/v1/auth/dev/token", json={"email": "demo@example.com"})
        if signed_in.status_code != 200:
            return signed_in.status_code
        headers = {"Authorization": f"Bearer {signed_in.json()['accessToken']}"}
        return client.post("/v1/labels", json={"name": name}, headers=headers).status_code


def test_the_status_of_a_move_names_a_target_that_hangs_within_a_bounded_time(
    own_postgres_server: OwnPostgresServer, start_service: StartService, start_command: StartCommand
) -> None:
    settings = dual(own_postgres_server.create_database())
    service = start_service(**settings)
    service.wait_ready()
    with frozen(own_postgres_server):
        for _ in range(2):  # a service asks before it has noticed, and afterwards
            require_hanging_target_named(start_command, settings)
    assert service.stop() == 0
    with frozen(own_postgres_server):  # without a service
        require_hanging_target_named(start_command, settings)


@contextmanager
def frozen(server: OwnPostgresServer) -> Iterator[None]:
    """The server hangs meanwhile."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def require_hanging_target_named(start_command: StartCommand, settings: Mapping[str, str]) -> None:
    began = time.monotonic()
    command = start_command("move", "status", **settings)
    code = command.wait_ended()
    assert time.monotonic() - began < ANSWER_SECONDS_MAX + START_SECONDS * times_slower()
    view = json.loads(command.said())
    assert code == 1, view
    guards = {one["code"]: one for one in view["guards"]}
    assert not guards["target"]["green"]
    assert "tandem doctor" in guards["target"]["remedy"]
    assert {one["records"]["target"] for one in view["collections"]} == {None}


def test_the_target_becomes_the_owner_beside_a_service_whose_source_is_an_older_copy(
    postgres_url: str, data_directory: Path, start_service: StartService, start_command: StartCommand
) -> None:
    settings = dual(postgres_url)
    service = start_service(**settings)
    service.wait_ready()
    assert add_label(service, "before") == 201
    assert service.stop() == 0
    older = data_directory / "older"
    shutil.copytree(data_directory / "monty", older)
    service.start_ready()
    assert add_label(service, "lost to the copy") == 201
    wait_until(lambda: pending(start_command) == 0, seconds_max=15, reason="the mirror is behind")
    assert service.stop() == 0
    shutil.rmtree(data_directory / "monty")
    shutil.copytree(older, data_directory / "monty")
    service.start_ready()
    assert add_label(service, "refused") == 503

    recover = start_command("recover", "--from-target", "--force", "The newest copy is gone.")
    assert recover.wait_ended() == 0, recover.evidence()
    owner = json.loads(recover.said())
    assert owner["owner"] == "postgres"

    assert add_label(service, "after") == 201
    status = start_command("move", "status")
    status.wait_ended()
    view = json.loads(status.said())
    assert (view["owner"], view["epoch"], view["source"]) == ("postgres", owner["epoch"], "postgres")
    steps = [one["detail"] for one in view["steps"] if one["step"] == "recover"]
    assert steps[-1].endswith("The newest copy is gone.")
    assert {"before", "lost to the copy", "after"} <= set(labels(service))


def pending(start_command: StartCommand) -> int:
    """How many changes the target has not confirmed."""
    command = start_command("sync", "status")
    command.wait_ended()
    totals = json.loads(command.said())["totals"]
    return int(totals["pending"] + totals["failed"])


def labels(service: ServiceProcess) -> list[str]:
    """The names of the labels, as the service answers."""
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        signed_in = client.post("/v1/auth/dev/token", json={"email": "demo@example.com"})
        headers = {"Authorization": f"Bearer {signed_in.json()['accessToken']}"}
        found = client.get("/v1/labels?limit=100", headers=headers).json()
        return [one["name"] for one in found["items"]]
