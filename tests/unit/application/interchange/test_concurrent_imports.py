"""Imports with concurrent changes of the same project and tasks, and imports interrupted by a crash."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest

from adapters.records.change_set import ChangeSet
from adapters.records.criteria import EVERYTHING
from adapters.records.record_store import RecordStore
from adapters.repositories.unit_of_work import StoredUnitOfWork
from application.interchange.imports import CHANGING, TASKS_PER_CHANGE_SET_MAX
from application.interchange.merging import REMOVED
from application.interchange.report import ImportReport
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import Begin
from application.projects.commands import DeleteProject, EditProject
from application.retrying import RETRIES_MAX
from application.tasks.commands import EditTask
from domain.errors import Conflict, Forbidden, StoreUnavailable
from domain.project import ProjectChanges
from domain.team import Team
from tests.unit.application.interchange.importing import (
    Import,
    beads,
    child_of,
    contents,
    counts,
    importer,
    task_named,
)
from tests.unit.builders import NUMBERS, actor, stamp


class KilledStore:
    """The store of a process that dies: after some commits it accepts none."""

    def __init__(self, store: RecordStore, *, commits: int) -> None:
        self._store = store
        self._left = commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, change_set: ChangeSet) -> None:
        if self._left == 0:
            raise StoreUnavailable
        self._left -= 1
        await self._store.commit(change_set)


@pytest.mark.parametrize("commits", [0, 1, 2, 3])
async def test_an_import_that_was_killed_is_completed_by_the_next(
    store: RecordStore, identifiers: Identifiers, clock: Clock, begin: Begin, bring: Import, commits: int
) -> None:
    issues = [
        {"id": f"bd-{number}", "dependencies": child_of(f"bd-{number // 2}") if number > 1 else []}
        for number in range(1, 3 * TASKS_PER_CHANGE_SET_MAX)
    ]
    killed: Any = partial(StoredUnitOfWork, KilledStore(store, commits=commits), identifiers)
    with pytest.raises(StoreUnavailable):
        await importer(killed, clock)(beads(*issues))
    half_way = await store.count("tasks", EVERYTHING)
    assert half_way == max(0, commits - 1) * TASKS_PER_CHANGE_SET_MAX
    report = await bring(beads(*issues))
    stored = await contents(store)
    assert len(stored["projects"]) == 1
    assert len(stored["tasks"]) == len(issues)
    assert counts(report).get("created", 0) == len(issues) - half_way
    assert all(task["version"] == 1 for task in stored["tasks"].values())
    assert all(task["parentId"] in {None, *stored["tasks"]} for task in stored["tasks"].values())
    assert sum(entry["collection"] == "tasks" for entry in stored["audit_logs"].values()) == len(issues)


class RacingStore:
    """A store with one concurrent change between reading and commit of an import."""

    def __init__(self, store: RecordStore, race: Callable[[], Any]) -> None:
        self._store = store
        self._race: Callable[[], Any] | None = race

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, change_set: ChangeSet) -> None:
        race, self._race = self._race, None
        if race is not None:
            await race()
        await self._store.commit(change_set)


async def test_an_edit_in_the_middle_of_an_import_is_not_lost(
    store: RecordStore, identifiers: Identifiers, clock: Clock, begin: Begin, bring: Import
) -> None:
    await bring(beads({"id": "bd-1"}, {"id": "bd-2"}))
    task = await task_named(begin, "Title of bd-1")
    edit = EditTask(begin, clock, NUMBERS)
    rename = partial(edit, actor(), task.id, {"title": "Ours"}, expected_version=None)
    racing: Any = partial(StoredUnitOfWork, RacingStore(store, rename), identifiers)
    changed = beads({"id": "bd-1", "priority": 0}, {"id": "bd-2", "priority": 0})
    report = await importer(racing, clock)(changed)
    task = await task_named(begin, "Ours")
    assert counts(report) == {"changed": 2}
    assert (task.priority.name, task.version) == ("HIGH", 3)


async def test_an_import_goes_into_the_project_that_another_one_has_just_made(
    store: RecordStore, identifiers: Identifiers, clock: Clock, bring: Import
) -> None:
    racing: Any = partial(
        StoredUnitOfWork, RacingStore(store, lambda: bring(beads({"id": "bd-1"}))), identifiers
    )
    report = await importer(racing, clock)(beads({"id": "bd-1"}, {"id": "bd-2"}))
    assert (counts(report), report.is_new_project) == ({"unchanged": 1, "created": 1}, False)
    stored = await contents(store)
    assert (len(stored["projects"]), len(stored["tasks"])) == (1, 2)


Meanwhile = Callable[[str], Any]
"""Concurrent changes of the receiving project."""


class CrossedStore:
    """A store with a concurrent change of the receiving project before each of `times` commits of tasks."""

    def __init__(self, store: RecordStore, meanwhile: Meanwhile, *, times: int) -> None:
        self._store, self._meanwhile, self._times = store, meanwhile, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, change_set: ChangeSet) -> None:
        tasks = [put.record for put in change_set.puts if put.collection == "tasks"]
        if tasks and self._times:
            self._times -= 1
            await self._meanwhile(tasks[0]["projectId"])
        await self._store.commit(change_set)


@pytest.fixture
def bring_crossed(store: RecordStore, identifiers: Identifiers, clock: Clock) -> Import:
    async def bring(meanwhile: Meanwhile, *issues: dict[str, Any], times: int = 1) -> ImportReport:
        begin: Any = partial(StoredUnitOfWork, CrossedStore(store, meanwhile, times=times), identifiers)
        return await importer(begin, clock)(beads(*(issues or [{"id": "bd-1"}])))

    return bring


async def test_a_project_that_goes_to_the_trash_meanwhile_receives_nothing(
    bring_crossed: Import, begin: Begin, clock: Clock, store: RecordStore
) -> None:
    async def trash(project_id: str) -> None:
        await DeleteProject(begin, clock)(actor(), project_id, expected_version=None)

    with pytest.raises(Conflict):
        await bring_crossed(trash)
    stored = await contents(store)
    assert [project["isDeleted"] for project in stored["projects"].values()] == [True]
    assert stored["tasks"] == {}


async def test_tasks_come_to_where_their_project_has_moved_meanwhile(
    bring_crossed: Import, begin: Begin, clock: Clock, store: RecordStore
) -> None:
    async def put_in_team(project_id: str) -> None:
        work = begin(actor())
        team = Team.create("7" * 24, stamp(), owner_id=actor().id, changes={"name": "Gardeners"})
        work.teams.save(team)
        project = await work.projects.get(project_id)
        work.projects.save(project.edit(stamp(), {"team_id": team.id}))
        await work.commit()

    await bring_crossed(put_in_team)
    (task,) = (await contents(store))["tasks"].values()
    assert task["teamId"] == "7" * 24


async def test_a_project_that_is_given_away_meanwhile_receives_nothing(
    bring_crossed: Import, begin: Begin, store: RecordStore
) -> None:
    async def give_away(project_id: str) -> None:
        work = begin(actor())
        project = await work.projects.get(project_id)
        work.projects.save(project.edit(stamp(), {"owner_id": "8" * 24}))
        await work.commit()

    with pytest.raises(Forbidden):
        await bring_crossed(give_away)
    assert (await contents(store))["tasks"] == {}


@pytest.fixture
def recolor(begin: Begin, clock: Clock) -> Meanwhile:
    """Another colour for the project each time."""
    shades = count()

    async def recolor(project_id: str) -> None:
        changes: ProjectChanges = {"color": f"#{next(shades):06x}"}
        await EditProject(begin, clock)(actor(), project_id, changes, expected_version=None)

    return recolor


@pytest.mark.parametrize("times", [1, RETRIES_MAX, RETRIES_MAX + 1, 2 * RETRIES_MAX + 2, 3 * RETRIES_MAX])
async def test_an_import_is_complete_however_often_its_project_was_edited_meanwhile(
    bring_crossed: Import, recolor: Meanwhile, store: RecordStore, times: int
) -> None:
    issues = [{"id": f"bd-{number}"} for number in range(4)]

    report = await bring_crossed(recolor, *issues, times=times)

    assert counts(report) == {"created": 4}
    stored = await contents(store)
    assert sorted(task["title"] for task in stored["tasks"].values()) == [
        f"Title of bd-{n}" for n in range(4)
    ]
    assert [project["version"] for project in stored["projects"].values()] == [times + 1]


async def test_an_import_tells_which_tasks_its_ever_changing_project_did_not_receive(
    bring_crossed: Import, recolor: Meanwhile, bring: Import, store: RecordStore
) -> None:
    together_and_alone = (1 + RETRIES_MAX + 1) * (RETRIES_MAX + 1)

    report = await bring_crossed(recolor, {"id": "bd-1"}, {"id": "bd-2"}, times=together_and_alone)

    assert [(each.key, each.why) for each in report.skipped] == [("bd-1", CHANGING)]
    assert [task["title"] for task in (await contents(store))["tasks"].values()] == ["Title of bd-2"]
    assert counts(await bring(beads({"id": "bd-1"}, {"id": "bd-2"}))) == {"created": 1, "unchanged": 1}


async def test_a_task_that_is_removed_for_good_meanwhile_is_left_out(
    bring_crossed: Import, bring: Import, begin: Begin, store: RecordStore
) -> None:
    async def erase(_project_id: str) -> None:
        work = begin(actor(admin=True))
        work.tasks.erase(await work.tasks.get(first.id), stamp())
        await work.commit()

    await bring(beads({"id": "bd-1"}))
    first = await task_named(begin, "Title of bd-1")

    report = await bring_crossed(erase, {"id": "bd-1", "title": "New"}, {"id": "bd-2"})

    assert [(each.key, each.why) for each in report.skipped] == [("bd-1", REMOVED)]
    tasks = (await contents(store))["tasks"]
    assert {tasks[id_].get("title") for id_ in tasks.keys() - {first.id}} == {"Title of bd-2"}
    assert "title" not in tasks[first.id]
