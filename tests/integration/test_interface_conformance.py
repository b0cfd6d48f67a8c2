"""Conformance of the real service to its OpenAPI document, for callers with every kind of rights.

Every operation is tried in one store mode by turns; the long form tries all in every mode.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import pytest
import requests

from tests.data.conformance import CHECKS, OPERATIONS
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.interface_fixtures import CALLERS, NOBODY, World
from tests.integration.interface_questions import (
    MIRRORED_STEPS,
    MOVE_STEPS,
    OF_THE_MIRROR,
    aimed,
    generated,
    led,
    operations,
    operations_of,
    plain,
)
from tests.integration.journeys.topologies import DUAL, MODES, SINGLE, variables_of
from tests.servers.google import client_settings, running_google
from tests.unit.entrypoints.http.openapi_copy import COPY

EXAMPLES_MAX = 2
TORTURE_EXAMPLES_MAX = 15
ANSWER_SECONDS_MAX = 30.0
BEFORE_SIGN_IN = (414, 431)
"""Requests that are too large are not read, whoever sends them."""

OF_TWO_STORES = ("/v1/sync/", "/v1/move/")
"""How the addresses begin that have little to say where there is one store."""


def _mode_of(name: str) -> str:
    """Whose turn an operation is: always the same, whatever other operations there are."""
    _, path = name.split()
    return DUAL if path.startswith(OF_TWO_STORES) else MODES[crc32(name.encode()) % len(MODES)]


BY_TURNS = sorted(((_mode_of(name), name) for name in OPERATIONS), key=lambda turn: MODES.index(turn[0]))
"""Every operation in one mode; those of a mode together, as they share its service."""


@dataclass(frozen=True, slots=True)
class Served:
    """A service that runs and what is in it."""

    mode: str
    process: ServiceProcess
    client: httpx.Client
    session: requests.Session
    world: World


@dataclass(slots=True)
class Inquiry:
    """All questions about one operation."""

    served: Served
    good: int = 0
    findings: list[str] = field(default_factory=list)

    def ask_plainly(self, name: str, callers: Sequence[str]) -> None:
        """The question that nobody could misunderstand, about things of its own for each of them."""
        world, operation = self.served.world, operations()[name]
        for caller in callers:
            address, things = world.found(operation, by=caller)
            self.ask(plain(name, address, things), caller)
        assert self.good, "nobody got a good answer, so little is proven"

    def ask(self, case: Any, caller: str) -> None:
        """One question; notes where the document does not know the answer."""
        operation = case.operation
        headers = self.served.world.headers(caller, operation.path)
        url = self.served.process.url
        # A session that one answer opened must not speak for the next caller.
        self.served.session.cookies.clear()
        answer = case.call(
            base_url=url,
            session=self.served.session,
            headers=headers,
            allow_redirects=False,
            timeout=ANSWER_SECONDS_MAX,
        )
        try:
            case.validate_response(answer, checks=CHECKS)
        except AssertionError as unknown:
            self.findings.append(f"{caller}: {unknown}")
        except BaseExceptionGroup as unknown:
            self.findings += [f"{caller}: {each}" for each in unknown.exceptions]
        name = f"{operation.method.upper()} {operation.path}"
        # Nothing is parked here, so there is nothing to give up.
        self.good += answer.status_code < 400 or (name in OF_THE_MIRROR and answer.status_code == 409)
        is_single = self.served.mode in SINGLE
        may_conflict = name in MOVE_STEPS or (is_single and name in MIRRORED_STEPS)
        self.good += may_conflict and answer.status_code in (404, 409)
        is_secured = caller == NOBODY and operation.definition.raw["security"]
        if is_secured and answer.status_code not in (401, *BEFORE_SIGN_IN):
            asked = f"{answer.request.method} {answer.request.url}"
            self.findings.append(f"{caller}: {answer.status_code} for {asked}")


@pytest.fixture(scope="module", params=MODES)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """The service of one mode in a process of its own; it must end in peace and have nothing to complain about."""
    with variables_of(request.param, request) as variables, running_google() as google:
        environment = {**variables, **client_settings(google)}
        process = ServiceProcess("served", environment=environment, directory=Path(variables["DATA_DIR"]))
        try:
            process.start_ready()
            with (
                httpx.Client(base_url=process.url, timeout=ANSWER_SECONDS_MAX, trust_env=False) as client,
                requests.Session() as session,
            ):
                session.trust_env = False
                yield Served(request.param, process, client, session, World(client))
            assert process.stop() == 0
            assert "Traceback" not in process.log.read_text()
        finally:
            process.kill()


def _inquire_shortly(served: Served, name: str) -> Inquiry:
    """The plain question by everybody, and generated ones in turns: made up, and about something that is there."""
    operation, inquiry = operations()[name], Inquiry(served)
    inquiry.ask_plainly(name, CALLERS)
    fitting, unfitting = generated(name, EXAMPLES_MAX)
    address, things = served.world.found(operation)
    cases = [aimed(fitting[0], address, things), fitting[-1]]
    cases += [led(case, address) for case in unfitting[:1]] + unfitting[1:]
    for number, case in enumerate(cases, OPERATIONS.index(name)):
        inquiry.ask(case, _in_turn(number))
    return inquiry


def _inquire_thoroughly(served: Served, name: str) -> Inquiry:
    """Every question, made up and about something that is there, by somebody and by those who may do most besides."""
    operation, inquiry = operations()[name], Inquiry(served)
    inquiry.ask_plainly(name, CALLERS)
    fitting, unfitting = generated(name, TORTURE_EXAMPLES_MAX)
    address, things = served.world.found(operation)
    cases = [
        *(aimed(case, address, things) for case in fitting),
        *(led(case, address) for case in unfitting),
        *fitting,
        *unfitting,
    ]
    for number, case in enumerate(cases):
        for caller in sorted({_in_turn(number), "owner", "admin"}):
            inquiry.ask(case, caller)
    return inquiry


def _in_turn(number: int) -> str:
    return CALLERS[number % len(CALLERS)]


def test_every_mode_serves_the_same_document(served: Served) -> None:
    assert served.client.get("/schema/openapi.json").json() == json.loads(COPY.read_text("utf-8"))


@pytest.mark.parametrize(("served", "name"), BY_TURNS, indirect=["served"])
def test_everybody_gets_only_answers_that_the_document_knows(served: Served, name: str) -> None:
    inquiry = _inquire_shortly(served, name)
    assert not inquiry.findings, "\n\n".join(inquiry.findings)


@pytest.mark.torture
@pytest.mark.parametrize("name", OPERATIONS)
def test_many_more_questions_get_only_answers_that_the_document_knows(served: Served, name: str) -> None:
    inquiry = _inquire_thoroughly(served, name)
    assert not inquiry.findings, "\n\n".join(inquiry.findings)


@pytest.mark.parametrize("served", MODES[:1], indirect=True)
def test_an_answer_that_the_document_does_not_know_is_found(served: Served) -> None:
    document = json.loads(COPY.read_text("utf-8"))
    del document["paths"]["/v1/labels"]["get"]["responses"]["200"]
    document["paths"] = {"/v1/labels": {"get": document["paths"]["/v1/labels"]["get"]}}
    (operation,) = operations_of(document).values()
    inquiry = Inquiry(served)
    inquiry.ask(operation.Case(), "member")
    inquiry.ask(operation.Case(), NOBODY)
    (finding,) = inquiry.findings
    assert finding.startswith("member: Undocumented status code")
