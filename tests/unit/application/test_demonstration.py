import asyncio

import pytest

from adapters.records.record_store import RecordStore
from application.demonstration import DEMO_EMAIL, SeedDemonstration
from application.paging import PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.repositories import ProjectFilter
from application.ports.unit_of_work import Begin
from application.projects.commands import DeleteProject
from domain.audit import Action
from domain.user import User
from tests.unit.builders import NUMBERS, actor, stamp


@pytest.fixture
def seed(begin: Begin, clock: Clock, identifiers: Identifiers) -> SeedDemonstration:
    return SeedDemonstration(begin, clock, identifiers, NUMBERS)


async def everything(store: RecordStore) -> dict[str, list[object]]:
    names = ("users", "projects", "tasks", "labels", "timelines", "audit_logs")
    return {name: list(await store.scan(name, after=None, limit=1_000)) for name in names}


async def test_the_demo_data_is_one_change_set_of_the_demo_user(
    seed: SeedDemonstration, store: RecordStore, begin: Begin
) -> None:
    report = await seed(actor(admin=True))
    stored = await everything(store)
    user = await begin(actor()).users.with_email(DEMO_EMAIL)
    assert report.is_new
    assert {name: len(records) for name, records in stored.items()} == {
        "users": 1,
        "projects": 2,
        "tasks": 12,
        "labels": 3,
        "timelines": 1,
        "audit_logs": 19,
    }
    entries = [entry for entry in stored["audit_logs"] if isinstance(entry, dict)]
    assert user is not None
    assert {(entry["actorId"], entry["action"]) for entry in entries} == {(user.id, Action.CREATED)}
    assert len({entry["changeSetId"] for entry in entries}) == 1


async def test_a_second_start_adds_nothing(seed: SeedDemonstration, store: RecordStore) -> None:
    await seed(actor(admin=True))
    before = await everything(store)
    assert not (await seed(actor(admin=True))).is_new
    assert await everything(store) == before


async def test_two_starts_at_once_add_it_once(seed: SeedDemonstration, store: RecordStore) -> None:
    reports = await asyncio.gather(seed(actor(admin=True)), seed(actor(admin=True)))
    assert sorted(report.is_new for report in reports) == [False, True]
    assert len((await everything(store))["tasks"]) == 12


async def test_trashed_demo_data_does_not_come_back(
    seed: SeedDemonstration, begin: Begin, clock: Clock
) -> None:
    await seed(actor(admin=True))
    admin = actor(admin=True)
    for project in (await begin(admin).projects.matching(ProjectFilter(), PageRequest())).items:
        await DeleteProject(begin, clock)(admin, project.id, expected_version=None)
    assert not (await seed(admin)).is_new
    assert not (await begin(admin).projects.matching(ProjectFilter(), PageRequest())).items


@pytest.mark.parametrize("is_first", [True, False])
async def test_the_demo_user_administers_only_an_empty_installation(
    seed: SeedDemonstration, begin: Begin, is_first: bool
) -> None:
    if not is_first:
        work = begin(actor())
        work.users.save(User.create(actor().id, stamp(), email="anna@example.com", name="Anna"))
        await work.commit()
    await seed(actor(admin=True))
    user = await begin(actor()).users.with_email(DEMO_EMAIL)
    assert user is not None
    assert user.grants == (("admin",) if is_first else ())
