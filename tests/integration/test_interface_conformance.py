"""The real service in every store mode, asked by a machine that has read the served document: no answer that the
document does not know, and none that blames the server.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.journeys.arrangements import DUAL, MODES, variables_of
from tests.unit.entrypoints.http.openapi_copy import COPY
from tests.unit.entrypoints.http.test_openapi_conformance import CHECKS, names

EXAMPLES_MAX = 2
TORTURE_EXAMPLES_MAX = 60
ANSWER_SECONDS_MAX = 30.0

OPERATIONS = names()
# What has an address of its own, and what makes one of it.
MADE_BY = {
    "/v1/projects/{id}": ("/v1/projects", {"name": "Garden"}),
    "/v1/tasks/{id}": ("/v1/tasks", {"title": "Dig"}),
    "/v1/labels/{id}": ("/v1/labels", {"name": "wet"}),
}


@dataclass(frozen=True, slots=True)
class Served:
    """A service that runs, and the headers of two people: its administrator and somebody else."""

    process: ServiceProcess
    client: httpx.Client
    session: requests.Session
    admin: dict[str, str]
    user: dict[str, str]

    def ask(self, case: Any, headers: dict[str, str]) -> None:
        """One question; fails where the document does not know the answer."""
        case.call_and_validate(
            base_url=self.process.url, session=self.session, headers=headers, checks=CHECKS
        )

    def address_of_something(self, path: str, headers: dict[str, str]) -> dict[str, str]:
        """Path parameters that lead somewhere; none for a path that has no id."""
        if path.startswith("/v1/users/{id}") or "{collection}" in path:
            me = self.client.get("/v1/users/me", headers=headers).json()["id"]
            return {"id": me, **({"collection": "users"} if "{collection}" in path else {})}
        for prefix, (making, body) in MADE_BY.items():
            if path.startswith(prefix):
                return {"id": self._something_at(making, body, headers)}
        return {}

    def _something_at(self, making: str, body: dict[str, str], headers: dict[str, str]) -> str:
        """What is there under this name, else it is made."""
        made = self.client.post(making, json=body, headers=headers)
        if made.status_code == 409:
            made = self.client.get(making, params={"q": next(iter(body.values()))}, headers=headers)
            return str(made.json()["items"][0]["id"])
        assert made.status_code == 201, made.text
        return str(made.json()["id"])


@pytest.fixture(scope="module", params=MODES)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """The service of one mode in a process of its own; it must end in peace and have nothing to complain about."""
    with variables_of(request.param, request) as variables:
        process = ServiceProcess("served", environment=variables, directory=Path(variables["DATA_DIR"]))
        try:
            process.start_ready()
            with (
                httpx.Client(base_url=process.url, timeout=ANSWER_SECONDS_MAX, trust_env=False) as client,
                requests.Session() as session,
            ):
                admin, user = _signed_in(client, "admin"), _signed_in(client, "user")
                yield Served(process, client, session, admin, user)
            assert process.stop() == 0
            assert "Traceback" not in process.log.read_text()
        finally:
            process.kill()


def _signed_in(client: httpx.Client, name: str) -> dict[str, str]:
    answer = client.post("/v1/auth/dev/token", json={"email": f"{name}@example.org"})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


@cache
def _operations() -> dict[str, Any]:
    # Read once for all modes: a test compares what each of them serves with this copy.
    schema: Any = schemathesis.openapi.from_dict(json.loads(COPY.read_text("utf-8")))
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


@cache
def _cases(name: str, examples_max: int) -> list[Any]:
    """Questions that fit an operation and questions that do not; the same for every mode, so they are made once."""
    operation = _operations()[name]
    found: list[Any] = []
    for mode in schemathesis.GenerationMode:
        if mode.is_negative and not list(operation.iter_parameters()) and not operation.body:
            continue

        @settings(
            max_examples=examples_max,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def collect(case: Any) -> None:
            found.append(case)

        collect()
    return found


def _ask_all(served: Served, name: str, headers: dict[str, str], *, examples_max: int = EXAMPLES_MAX) -> None:
    """Asks every question, and again about something that is there."""
    cases = _cases(name, examples_max)
    assert cases, "nothing was asked, so nothing is proven"
    there = served.address_of_something(_operations()[name].path, headers)
    for case in cases:
        served.ask(case, headers)
        if there:
            made_up = case.path_parameters
            case.path_parameters = {**made_up, **there}
            served.ask(case, headers)
            case.path_parameters = made_up


def test_every_mode_serves_the_same_document(served: Served) -> None:
    assert served.client.get("/schema/openapi.json").json() == json.loads(COPY.read_text("utf-8"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_administrator_gets_only_answers_that_the_document_knows(served: Served, name: str) -> None:
    _ask_all(served, name, served.admin)


@pytest.mark.parametrize("served", [DUAL], indirect=True)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_ordinary_user_gets_only_answers_that_the_document_knows(served: Served, name: str) -> None:
    _ask_all(served, name, served.user)


@pytest.mark.torture
@pytest.mark.parametrize("name", OPERATIONS)
def test_many_more_questions_get_only_answers_that_the_document_knows(served: Served, name: str) -> None:
    for headers in (served.admin, served.user):
        _ask_all(served, name, headers, examples_max=TORTURE_EXAMPLES_MAX)
