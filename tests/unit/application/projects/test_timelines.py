from datetime import timedelta

import pytest

from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import Begin
from application.projects.commands import CreateProject
from application.projects.timelines import GetTimeline, RollBackTimeline, SaveTimeline
from domain.errors import NotFound, RuleBroken, VersionConflict
from domain.project import Project
from domain.timeline import Dependency, Plan, TimelineItem
from tests.unit.builders import BEN, actor

ONE = Plan(items=(TimelineItem(id="a"),))
TWO = Plan(
    items=(TimelineItem(id="a"), TimelineItem(id="b")),
    dependencies=(Dependency(from_="a", to="b"),),
    message="b waits",
)


@pytest.fixture
async def garden(begin: Begin, clock: Clock, identifiers: Identifiers) -> Project:
    return await CreateProject(begin, clock, identifiers)(actor(), {"name": "Garden"})


async def test_a_project_without_a_plan_has_an_empty_one_at_version_0(garden: Project, begin: Begin) -> None:
    timeline = await GetTimeline(begin)(actor(), garden.id)
    assert (timeline.version, timeline.items) == (0, ())


async def test_saving_loads_back_field_by_field(garden: Project, begin: Begin, clock: Clock) -> None:
    saved = await SaveTimeline(begin, clock)(actor(), garden.id, TWO, expected_version=0)
    assert await GetTimeline(begin)(actor(), garden.id) == saved
    assert (saved.version, saved.dependencies) == (1, TWO.dependencies)


async def test_saving_twice_makes_one_version(garden: Project, begin: Begin, clock: Clock) -> None:
    save = SaveTimeline(begin, clock)
    await save(actor(), garden.id, ONE, expected_version=None)
    assert (await save(actor(), garden.id, ONE, expected_version=1)).version == 1


async def test_a_stale_save_changes_nothing(garden: Project, begin: Begin, clock: Clock) -> None:
    save = SaveTimeline(begin, clock)
    await save(actor(), garden.id, ONE, expected_version=0)
    with pytest.raises(VersionConflict):
        await save(actor(), garden.id, TWO, expected_version=0)
    assert (await GetTimeline(begin)(actor(), garden.id)).items == ONE.items


async def test_a_dry_run_saves_nothing_and_still_checks(garden: Project, begin: Begin, clock: Clock) -> None:
    save = SaveTimeline(begin, clock)
    assert (await save(actor(), garden.id, TWO, expected_version=None, dry_run=True)).version == 1
    twice = Plan(items=(*ONE.items, *ONE.items))
    with pytest.raises(RuleBroken):
        await save(actor(), garden.id, twice, expected_version=None, dry_run=True)
    assert (await GetTimeline(begin)(actor(), garden.id)).version == 0


async def test_it_loads_as_it_was_by_number_and_by_instant(
    garden: Project, begin: Begin, clock: Clock
) -> None:
    save = SaveTimeline(begin, clock)
    first = await save(actor(), garden.id, ONE, expected_version=None)
    second = await save(actor(), garden.id, TWO, expected_version=None)
    load = GetTimeline(begin)
    assert await load(actor(), garden.id, version=1) == first
    assert await load(actor(), garden.id, at=second.updated_at - timedelta(seconds=1)) == first
    assert await load(actor(), garden.id, at=second.updated_at) == second
    assert (await load(actor(), garden.id, at=garden.created_at)).version == 0
    with pytest.raises(NotFound):
        await load(actor(), garden.id, at=garden.created_at - timedelta(seconds=1))
    with pytest.raises(NotFound):
        await load(actor(), garden.id, version=3)


async def test_a_roll_back_brings_the_plan_back(garden: Project, begin: Begin, clock: Clock) -> None:
    save = SaveTimeline(begin, clock)
    await save(actor(), garden.id, ONE, expected_version=None)
    await save(actor(), garden.id, TWO, expected_version=None)
    back = await RollBackTimeline(begin, clock)(actor(), garden.id, version=1, expected_version=2)
    assert (back.version, back.items, back.dependencies) == (3, ONE.items, ())


async def test_a_stranger_neither_loads_nor_saves(garden: Project, begin: Begin, clock: Clock) -> None:
    with pytest.raises(NotFound):
        await GetTimeline(begin)(actor(BEN), garden.id)
    with pytest.raises(NotFound):
        await SaveTimeline(begin, clock)(actor(BEN), garden.id, ONE, expected_version=None)
