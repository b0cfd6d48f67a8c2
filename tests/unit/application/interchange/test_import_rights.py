"""An import gives nobody a right that a request about the same task or project would not give."""

import pytest

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record_store import RecordStore
from adapters.records.specs import USERS
from adapters.system.identifiers import SortableIdentifiers
from application.ports.clock import Clock
from application.ports.unit_of_work import Begin
from application.projects.commands import CreateProject
from application.tasks.assignments import AssignTask
from application.tasks.commands import EditTask
from domain.assignment import Assignee, AssigneeType
from domain.project import Project
from domain.task import TaskChanges
from domain.user import User
from tests.unit.application.interchange.importing import (
    TOMBSTONE,
    Import,
    beads,
    child_of,
    contents,
    counts,
    task_named,
)
from tests.unit.builders import ANNA, BEN, NUMBERS, actor, stamp


@pytest.fixture
async def accounts(store: RecordStore) -> None:
    """Accounts of Anna and Ben."""
    users = [
        User.create(id_, stamp(by=id_), email=f"{id_[0]}@example.org", name="Somebody") for id_ in (ANNA, BEN)
    ]
    await store.commit(ChangeSet(tuple(Put("users", USERS.mapping.to_record(user), 0) for user in users)))


async def _created(begin: Begin, clock: Clock, name: str, *, by: str | None = None) -> Project:
    return await CreateProject(begin, clock, SortableIdentifiers())(actor(by), {"name": name})


async def _given_away(begin: Begin, clock: Clock, title: str) -> str:
    """The id of an imported task that an administrator has moved into a project of somebody else."""
    task = await task_named(begin, title)
    theirs = await _created(begin, clock, "Theirs", by=BEN)
    changes: TaskChanges = {"project_id": theirs.id}
    await EditTask(begin, clock, NUMBERS)(actor(admin=True), task.id, changes, expected_version=None)
    return task.id


@pytest.mark.parametrize(
    "newer",
    [{"title": "Mine again"}, {"status": "closed"}, {}, TOMBSTONE],
    ids=["title", "done", "same", "trash"],
)
async def test_a_task_that_the_importer_may_not_see_any_more_is_left_alone(
    bring: Import, begin: Begin, clock: Clock, store: RecordStore, newer: dict[str, str]
) -> None:
    await bring(beads({"id": "bd-1"}, {"id": "bd-2"}))
    id_ = await _given_away(begin, clock, "Title of bd-1")
    before = (await contents(store))["tasks"][id_]
    report = await bring(beads({"id": "bd-1", **newer}, {"id": "bd-2", "priority": 4}))
    assert (await contents(store))["tasks"][id_] == before
    assert counts(report) == {"skipped": 1, "changed": 1}
    assert [(skip.key, skip.why) for skip in report.skipped] == [("bd-1", "cannot be changed")]


async def test_no_task_gets_a_parent_or_a_link_that_its_importer_may_not_see(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    await bring(beads({"id": "bd-1"}))
    await _given_away(begin, clock, "Title of bd-1")
    related = [*child_of("bd-1"), {"type": "blocks", "depends_on_id": "bd-1"}]
    for issues in ([{"id": "bd-1"}], []):
        report = await bring(beads(*issues, {"id": f"bd-{len(issues) + 2}", "dependencies": related}))
        task = await task_named(begin, f"Title of bd-{len(issues) + 2}")
        assert (task.parent_id, task.links) == (None, ())
        assert "parentId" in [loss.field for loss in report.lost]


@pytest.mark.usefixtures("accounts")
async def test_a_task_that_was_assigned_to_its_importer_follows_the_file_again(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    await bring(beads({"id": "bd-1"}))
    id_ = await _given_away(begin, clock, "Title of bd-1")
    assign = AssignTask(begin, clock, NUMBERS)
    await assign(actor(admin=True), id_, Assignee(ANNA, AssigneeType.USER), expected_version=None)
    assert counts(await bring(beads({"id": "bd-1", "title": "Ours"}))) == {"changed": 1}
    assert counts(await bring(beads({"id": "bd-1", **TOMBSTONE}))) == {"trashed": 1}
    task = await begin(actor(admin=True)).tasks.get(id_)
    assert (task.title, task.is_deleted) == ("Ours", True)
