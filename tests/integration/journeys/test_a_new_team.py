"""A team's life over HTTP from the first sign-in until a member leaves; afterwards everything is read again: from the
target, where there is one, otherwise from the same store by a service that has just started. So the mode with a target
runs it on MontyDB and on PostgreSQL; the long form tries each of them alone as well.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.ownership import control
from adapters.ownership.control import Gate, Role
from adapters.postgres.record_store import PostgresRecordStore
from tests.integration.crash.service_client import SHARED_ANSWER_SECONDS
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.journeys.http_actor import HttpActor
from tests.integration.journeys.team_scenario import Actors, TeamScenario
from tests.integration.journeys.topologies import DUAL, MODES, variables_of
from tests.servers.google import CALLBACK, client_settings, running_google

SHORT = (DUAL, "mongo")
MARKED_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1


@contextmanager
def _actors(url: str) -> Iterator[Actors]:
    with HttpActor(url) as operator, HttpActor(url) as anna, HttpActor(url) as ben, HttpActor(url) as carl:
        operator.sign_in("operator@example.org")
        assert "success=true" in anna.sign_in_with_google()
        ben.sign_in("ben@example.org")
        carl.sign_in("carl@example.org")
        yield Actors(operator, anna, ben, carl)


@pytest.mark.parametrize(
    "mode",
    [mode if mode in SHORT else pytest.param(mode, marks=pytest.mark.torture) for mode in MODES],
)
def test_a_new_team_does_all_its_work_and_any_of_its_stores_tells_it_the_same(
    mode: str, request: pytest.FixtureRequest
) -> None:
    with variables_of(mode, request) as variables, running_google() as google:
        google.redirect_uris.add(CALLBACK)
        settings = {**variables, **client_settings(google)}
        directory = Path(variables["DATA_DIR"])
        with _running(settings, directory) as service, _actors(service.url) as actors:
            team = TeamScenario(actors)
            team.plans()
            team.shares_the_work()
            team.finds_things()
            team.regrets()
            team.parts()
            if "DUAL_WRITE_TARGET" in variables:
                _wait_mirrored(actors.operator)
            before = team.readings(actors)
        if "DUAL_WRITE_TARGET" in variables:
            settings = _as_target_alone(settings)
        with _running(settings, directory) as successor:
            assert team.readings(actors.moved_to(successor.url)) == before


@contextmanager
def _running(settings: Mapping[str, str], directory: Path) -> Iterator[ServiceProcess]:
    service = ServiceProcess("serving", environment=settings, directory=directory)
    try:
        service.start_ready()
        yield service
        assert service.stop() == 0
    finally:
        service.kill()


def _wait_mirrored(operator: HttpActor) -> None:
    """Until no entry waits; an answer may be a second old, so one that says so is not enough."""
    deadline = time.monotonic() + MARKED_SECONDS_MAX
    quiet_since: float | None = None
    while quiet_since is None or time.monotonic() - quiet_since < SHARED_ANSWER_SECONDS:
        totals = operator.view("GET", "/v1/sync/metrics")["totals"]
        assert (totals["failed"], totals["parked"]) == (0, 0)
        assert time.monotonic() < deadline, f"not mirrored: {totals}"
        quiet_since = None if totals["pending"] else quiet_since or time.monotonic()
        time.sleep(POLL_SECONDS)


def _as_target_alone(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings of a service that has nothing but the target. A target that mirrors another store refuses writers,
    so it is told that it owns itself now, which is what a cut-over would tell it.
    """
    asyncio.run(_make_owner(PostgresRecordStore(settings["POSTGRES_URL"])))
    alone = {name: value for name, value in settings.items() if not name.startswith("DUAL_WRITE_")}
    return {**alone, "STORE": "postgres"}


async def _make_owner(store: PostgresRecordStore) -> None:
    await store.open()
    try:
        held = await control.read(store)
        assert held is not None
        mirror = held.ownership
        owner = replace(
            mirror, role=Role.OWNER, gate=Gate.OPEN, owner=store.name, epoch=mirror.epoch + 1, peer=None
        )
        await control.write(store, owner, over=held)
    finally:
        await store.close()
