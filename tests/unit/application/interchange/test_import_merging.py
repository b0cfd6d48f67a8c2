"""An import changes existing tasks only as a request about each of them could, also under concurrent changes."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.interchange.beads import BeadsReader
from adapters.system.identifiers import SortableIdentifiers
from adapters.system.threads import Threads
from application.interchange.imports import ImportIssues, ImportRequest
from application.interchange.merging import CIRCULAR, UNCHANGEABLE, UNDELETABLE
from application.interchange.report import ImportReport
from application.ports.clock import Clock
from application.ports.unit_of_work import Begin
from application.projects.commands import CreateProject, EditProject
from application.tasks.assignments import AssignTask, ChooseExecutor
from application.tasks.commands import EditTask
from domain.assignment import Assignee, AssigneeType
from domain.task import Task, TaskChanges, TaskStatus
from domain.team import Team
from tests.unit.application.interchange.importing import (
    TOMBSTONE,
    Import,
    beads,
    child_of,
    counts,
    task_named,
)
from tests.unit.application.team_fixture import CARL, TeamFixture
from tests.unit.builders import ANNA, BEN, NUMBERS, actor

BringAs = Callable[..., Awaitable[ImportReport]]


@pytest.fixture
def bring_as(fixture: TeamFixture) -> BringAs:
    """Imports issues as somebody; `interrupted` with the concurrent change of the fixture."""

    async def bring_as(user_id: str, *issues: dict[str, Any], interrupted: bool = False) -> ImportReport:
        begin = (fixture.interrupted if interrupted else fixture.now).begin
        use_case = ImportIssues(begin, fixture.clock, {"beads": BeadsReader()}, NUMBERS, Threads())
        request = ImportRequest(content=beads(*issues), format="beads", project_name="Beads")
        return await use_case(actor(user_id), request)

    return bring_as


async def _moved_into_team(fixture: TeamFixture) -> tuple[Team, str]:
    """Carl's team with Anna and Ben, and the id of the task that Ben has imported and moved into its project."""
    begin, clock = fixture.now.begin, fixture.clock
    team = await fixture.now.create(actor(CARL), {"name": "Growers"})
    await fixture.now.add(actor(CARL), team.id, [ANNA, BEN])
    new_project = CreateProject(begin, clock, SortableIdentifiers())
    garden = await new_project(actor(CARL), {"name": "Garden", "team_id": team.id})
    task = await task_named(begin, "Title of bd-1")
    changes: TaskChanges = {"project_id": garden.id}
    await EditTask(begin, clock, NUMBERS)(actor(BEN), task.id, changes, expected_version=None)
    return team, task.id


async def _task(fixture: TeamFixture, id_: str) -> Task:
    return await fixture.now.begin(actor()).tasks.get(id_)


@pytest.mark.parametrize("newer", [{"title": "By Ben"}, TOMBSTONE], ids=["title", "trash"])
@pytest.mark.parametrize("is_meanwhile", [False, True], ids=["before", "meanwhile"])
async def test_a_member_who_was_removed_changes_no_task_of_the_team(
    fixture: TeamFixture, bring_as: BringAs, newer: dict[str, str], *, is_meanwhile: bool
) -> None:
    await bring_as(BEN, {"id": "bd-1"})
    team, id_ = await _moved_into_team(fixture)
    before = await _task(fixture, id_)

    async def remove() -> None:
        await fixture.now.remove(actor(CARL), team.id, BEN)

    if is_meanwhile:
        fixture.interrupt(remove)
    else:
        await remove()
    report = await bring_as(BEN, {"id": "bd-1", **newer}, interrupted=True)

    assert fixture.times == 0
    assert await _task(fixture, id_) == before
    assert [(skip.key, skip.why) for skip in report.skipped] == [("bd-1", UNCHANGEABLE)]
    assert {loss.field for loss in report.lost}.isdisjoint({"title", "isDeleted"})


async def test_a_member_edits_what_they_may_edit_and_trashes_nothing_more(
    fixture: TeamFixture, bring_as: BringAs
) -> None:
    made = await bring_as(BEN, {"id": "bd-1"})
    _, id_ = await _moved_into_team(fixture)
    give = EditProject(fixture.now.begin, fixture.clock)
    await give(actor(BEN), made.project_id, {"owner_id": ANNA}, expected_version=None)

    edited = await bring_as(ANNA, {"id": "bd-1", "title": "By Anna"})
    trashed = await bring_as(ANNA, {"id": "bd-1", **TOMBSTONE})

    assert (edited.project_id, counts(edited)) == (made.project_id, {"changed": 1})
    assert [(skip.key, skip.why) for skip in trashed.skipped] == [("bd-1", UNDELETABLE)]
    task = await _task(fixture, id_)
    assert (task.title, task.is_deleted, task.version) == ("By Anna", False, 3)


async def test_a_present_parent_and_link_stay_when_their_task_is_no_longer_seen(
    fixture: TeamFixture, bring_as: BringAs
) -> None:
    related = [*child_of("bd-1"), {"type": "related", "depends_on_id": "bd-1"}]
    issues = [{"id": "bd-1"}, {"id": "bd-2", "dependencies": related}]
    await bring_as(BEN, *issues)
    team, _ = await _moved_into_team(fixture)
    before = await task_named(fixture.now.begin, "Title of bd-2")
    await fixture.now.remove(actor(CARL), team.id, BEN)

    reports = [await bring_as(BEN, *issues), await bring_as(BEN, issues[1])]

    assert [counts(each) for each in reports] == [{"unchanged": 1, "skipped": 1}, {"unchanged": 1}]
    assert await task_named(fixture.now.begin, "Title of bd-2") == before
    assert before.parent_id is not None
    assert len(before.links) == 1


async def test_a_hidden_task_is_reported_as_one_that_does_not_exist(
    fixture: TeamFixture, bring_as: BringAs
) -> None:
    await bring_as(BEN, {"id": "bd-1"})
    team, _ = await _moved_into_team(fixture)
    await fixture.now.remove(actor(CARL), team.id, BEN)
    kinds = ("parent-child", "related", "blocks")

    losses = []
    for number, key in enumerate(("bd-1", "unknown")):
        related = [{"type": kind, "depends_on_id": key} for kind in kinds]
        report = await bring_as(BEN, {"id": f"new-{number}", "dependencies": related})
        task = await task_named(fixture.now.begin, f"Title of new-{number}")
        assert (task.parent_id, task.links) == (None, ())
        losses.append({(loss.field, loss.why, loss.count) for loss in report.lost})

    assert losses[0] == losses[1]
    assert len(losses[0]) == len(kinds)


async def test_no_task_becomes_its_own_ancestor_by_a_parent_given_here(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    await bring(beads({"id": "bd-1"}, {"id": "bd-2"}))
    first, second = [await task_named(begin, f"Title of bd-{number}") for number in (1, 2)]
    edit = EditTask(begin, clock, NUMBERS)
    await edit(actor(), first.id, {"parent_id": second.id}, expected_version=None)

    report = await bring(beads({"id": "bd-1"}, {"id": "bd-2", "dependencies": child_of("bd-1")}))

    assert [(loss.field, loss.why) for loss in report.lost] == [("parentId", CIRCULAR)]
    parents = [(await task_named(begin, f"Title of bd-{number}")).parent_id for number in (1, 2)]
    assert parents == [second.id, None]


async def test_two_tasks_change_places_below_each_other(bring: Import, begin: Begin) -> None:
    await bring(beads({"id": "bd-1"}, {"id": "bd-2", "dependencies": child_of("bd-1")}))
    report = await bring(beads({"id": "bd-2"}, {"id": "bd-1", "dependencies": child_of("bd-2")}))
    first, second = [await task_named(begin, f"Title of bd-{number}") for number in (1, 2)]
    assert (first.parent_id, second.parent_id) == (second.id, None)
    assert (counts(report), report.lost) == ({"changed": 2}, ())


async def test_a_task_that_the_file_reopens_loses_an_executor_who_has_left(
    fixture: TeamFixture, bring_as: BringAs
) -> None:
    done = {"id": "bd-1", "status": "closed", "closed_at": "2025-12-20T08:00:00Z"}
    await bring_as(ANNA, done)
    begin, clock = fixture.now.begin, fixture.clock
    team = await fixture.team(BEN)
    task = await task_named(begin, "Title of bd-1")
    by = actor()
    await AssignTask(begin, clock, NUMBERS)(
        by, task.id, Assignee(team.id, AssigneeType.TEAM), expected_version=None
    )
    assignment = await begin(by).assignments.of_task(task.id)
    assert assignment is not None
    await ChooseExecutor(begin, clock, NUMBERS)(by, assignment.id, BEN, expected_version=None)
    await fixture.now.remove(by, team.id, BEN)
    assert await fixture.executors(task.id) == (BEN, BEN)

    assert counts(await bring_as(ANNA, {"id": "bd-1"})) == {"changed": 1}

    assert (await _task(fixture, task.id)).status is TaskStatus.TODO
    assert await fixture.executors(task.id) == (None, None)
