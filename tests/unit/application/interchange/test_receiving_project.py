"""The project that receives an import is the one that has the name now."""

import pytest

from adapters.records.record_store import RecordStore
from adapters.system.identifiers import SortableIdentifiers
from application.interchange.receiving_project import EARLIER_MAX
from application.ports.clock import Clock
from application.ports.unit_of_work import Begin
from application.projects.commands import CreateProject, DeleteProject, EditProject, RestoreProject
from domain.errors import Conflict
from domain.project import Project, ProjectChanges
from tests.unit.application.interchange.importing import Import, beads, contents, counts, importer
from tests.unit.application.team_fixture import CARL, TeamFixture
from tests.unit.builders import ANNA, BEN, actor, stamp

ISSUES = beads({"id": "bd-1", "labels": ["wet"]}, {"id": "bd-2"})
CREATED, UNCHANGED = {"created": 2}, {"unchanged": 2}


async def _create(begin: Begin, clock: Clock, name: str) -> Project:
    return await CreateProject(begin, clock, SortableIdentifiers())(actor(), {"name": name})


async def _edit(begin: Begin, clock: Clock, id_: str, changes: ProjectChanges) -> None:
    await EditProject(begin, clock)(actor(), id_, changes, expected_version=None)


async def _hand_over(begin: Begin, id_: str) -> None:
    work = begin(actor())
    work.projects.save((await work.projects.get(id_)).edit(stamp(), {"owner_id": BEN}))
    await work.commit()


async def _erase(begin: Begin, id_: str) -> None:
    work = begin(actor(admin=True))
    work.projects.erase(await work.projects.get(id_), stamp())
    await work.commit()


@pytest.mark.parametrize("name", ["Pond", "***", "  Cafe\u0301 "])
async def test_a_renamed_project_keeps_its_tasks_and_a_new_one_of_the_name_gets_its_own(
    bring: Import, begin: Begin, clock: Clock, store: RecordStore, name: str
) -> None:
    first = await bring(ISSUES, name=name)
    await _edit(begin, clock, first.project_id, {"name": "Old pond"})
    before = await contents(store)

    dry = await bring(ISSUES, name=name, is_dry_run=True)
    second = await bring(ISSUES, name=name)
    again = await bring(ISSUES, name=name)

    assert (second.is_new_project, counts(second)) == (True, CREATED)
    assert dry.project_id == second.project_id == again.project_id != first.project_id
    assert (again.is_new_project, counts(again)) == (False, UNCHANGED)
    after = await contents(store)
    assert all(after["tasks"][id_] == task for id_, task in before["tasks"].items())
    assert sorted(task["projectId"] for task in after["tasks"].values()) == sorted(
        [first.project_id] * 2 + [second.project_id] * 2
    )


async def test_a_live_project_of_the_name_comes_before_a_renamed_or_trashed_one(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    renamed, trashed = [await bring(ISSUES, name=name) for name in ("Pond", "Meadow")]
    await _edit(begin, clock, renamed.project_id, {"name": "Old pond"})
    await DeleteProject(begin, clock)(actor(), trashed.project_id, expected_version=None)
    for name in ("Pond", "Meadow"):
        live = await _create(begin, clock, name)
        reports = [await bring(ISSUES, name=name) for _ in range(2)]
        assert [(each.project_id, counts(each)) for each in reports] == [
            (live.id, CREATED),
            (live.id, UNCHANGED),
        ]


async def test_a_trashed_project_of_the_name_is_restored_before_it_receives_anything(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    first = await bring(ISSUES, name="Pond")
    await DeleteProject(begin, clock)(actor(), first.project_id, expected_version=None)
    with pytest.raises(Conflict, match="in the trash; restore it"):
        await bring(ISSUES, name="Pond")
    await RestoreProject(begin, clock)(actor(), first.project_id, expected_version=None)
    again = await bring(ISSUES, name="Pond")
    assert (again.project_id, counts(again)) == (first.project_id, UNCHANGED)


async def test_a_project_that_was_renamed_and_trashed_hinders_no_import(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    first = await bring(ISSUES, name="Pond")
    await _edit(begin, clock, first.project_id, {"name": "Old pond"})
    await DeleteProject(begin, clock)(actor(), first.project_id, expected_version=None)
    assert counts(await bring(ISSUES, name="Pond")) == CREATED
    with pytest.raises(Conflict, match="in the trash"):
        await bring(ISSUES, name="Old pond")


async def test_after_a_removal_for_good_the_name_is_free_again(
    bring: Import, begin: Begin, store: RecordStore
) -> None:
    first = await bring(ISSUES, name="Pond")
    await _erase(begin, first.project_id)
    second = await bring(ISSUES, name="Pond")
    again = await bring(ISSUES, name="Pond")
    assert (second.is_new_project, counts(second)) == (True, CREATED)
    assert (again.project_id, counts(again)) == (second.project_id, UNCHANGED)
    assert (await contents(store))["projects"][second.project_id]["name"] == "Pond"


async def test_a_project_that_was_handed_over_receives_nothing_and_is_not_told_of(
    bring: Import, begin: Begin, store: RecordStore
) -> None:
    first = await bring(ISSUES, name="Pond")
    await _hand_over(begin, first.project_id)
    before = await contents(store)
    second = await bring(ISSUES, name="Pond")
    again = await bring(ISSUES, name="Pond")
    assert (second.is_new_project, second.lost, second.skipped) == (True, first.lost, ())
    assert (again.project_id, counts(again)) == (second.project_id, UNCHANGED)
    after = await contents(store)
    assert after["projects"][first.project_id] == before["projects"][first.project_id]
    assert all(after["tasks"][id_] == task for id_, task in before["tasks"].items())


@pytest.mark.parametrize("may_change", [True, False])
async def test_a_handed_over_project_of_a_team_receives_from_those_who_may_change_it(
    fixture: TeamFixture, *, may_change: bool
) -> None:
    begin, clock = fixture.now.begin, fixture.clock
    bring = importer(begin, clock)
    first = await bring(ISSUES, name="Pond")
    if may_change:
        team = await fixture.team(BEN)
    else:
        team = await fixture.now.create(actor(CARL), {"name": "Growers"})
        await fixture.now.add(actor(CARL), team.id, [ANNA, BEN])
    await _edit(begin, clock, first.project_id, {"team_id": team.id})
    await _hand_over(begin, first.project_id)
    second = await bring(ISSUES, name="Pond")
    assert (second.project_id == first.project_id) is may_change
    assert counts(second) == (UNCHANGED if may_change else CREATED)
    third = await bring(ISSUES, name="Pond")
    assert (third.project_id, counts(third)) == (second.project_id, UNCHANGED)


async def test_a_name_that_too_many_projects_had_is_refused(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    for number in range(EARLIER_MAX):
        made = await bring(beads({"id": "bd-1"}), name="Pond")
        await _edit(begin, clock, made.project_id, {"name": f"Pond {number}"})
    with pytest.raises(Conflict, match="choose another name"):
        await bring(ISSUES, name="Pond")
    own = await _create(begin, clock, "Pond")
    assert (await bring(ISSUES, name="Pond")).project_id == own.id
