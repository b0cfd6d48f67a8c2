"""An exported file can be imported again."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, cast

import pytest

from adapters.interchange.beads import BeadsReader
from adapters.interchange.beads_writer import BeadsWriter
from adapters.system.threads import Threads
from application.interchange.exports import ExportTasks, exported
from application.interchange.imports import ImportIssues, ImportRequest
from application.interchange.report import Fate, ImportReport
from application.paging import PageRequest, Sort
from application.ports.clock import Clock
from application.ports.interchange import CONTENT_BYTES_MAX, ExportedIssue
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from domain.entity import Stamp
from domain.errors import Invalid, NotFound, RuleBroken
from domain.project import Project
from domain.task import Priority, Task, TaskChanges, TaskStatus
from tests.real_exports import real_export
from tests.unit.builders import ANNA, BEN, NOON, NUMBERS, actor, label, numbered_id, project, stamp, task

ADMIN = actor("d" * 24, admin=True)
ISSUES = (
    {
        "id": "bd-1",
        "title": "Dig — “the” pond\u2028",
        "priority": 0,
        "labels": ["wet"],
        "description": "Deep\n",
    },
    {"id": "bd-2", "title": "Line it", "status": "in_progress", "started_at": "2025-11-01T08:00:00.120Z"},
    {"id": "bd-3", "title": "Fill it", "status": "blocked", "issue_type": "bug", "priority": 4},
    {
        "id": "bd-4",
        "title": "Ask",
        "status": "closed",
        "closed_at": "2025-11-02T08:00:00Z",
        "due_at": "2025-11-03",
        "dependencies": [
            {"type": "blocks", "depends_on_id": "bd-2"},
            {"type": "discovered-from", "depends_on_id": "bd-1"},
        ],
    },
    {
        "id": "bd-5",
        "title": "Wait",
        "status": "tombstone",
        "deleted_at": "2025-12-01T00:00:00Z",
        "delete_reason": "done elsewhere",
    },
)


def beads(issues: Sequence[Mapping[str, object]]) -> bytes:
    plain = {"status": "open", "priority": 2, "created_at": "2025-10-27T22:55:44.511-07:00"}
    children = {"bd-2": "bd-1", "bd-3": "bd-5"}
    lines = []
    for issue in issues:
        parent = children.get(str(issue["id"]))
        parents = [{"type": "parent-child", "depends_on_id": parent}] if parent else []
        links = [*parents, *cast("list[object]", issue.get("dependencies", []))]
        lines.append(json.dumps({**plain, **issue, "dependencies": links}))
    return "\n".join(lines).encode()


@pytest.fixture
def export(begin: Begin) -> ExportTasks:
    return ExportTasks(begin, {"beads": BeadsWriter()}, Threads())


@pytest.fixture
def import_issues(begin: Begin, clock: Clock) -> ImportIssues:
    return ImportIssues(begin, clock, {"beads": BeadsReader()}, NUMBERS, Threads())


async def brought(import_issues: ImportIssues, content: bytes, name: str = "Pond") -> ImportReport:
    request = ImportRequest(content=content, format="beads", project_name=name)
    return await import_issues(actor(), request)


async def save(begin: Begin, *, projects: Sequence[Project] = (), tasks: Sequence[Task] = ()) -> None:
    work = begin(actor())
    for one in projects:
        work.projects.save(one)
    for task_ in tasks:
        work.tasks.save(task_)
    await work.commit()


def keys(content: bytes) -> list[str]:
    return [json.loads(line)["id"] for line in content.splitlines()]


async def tasks_of(begin: Begin, project_id: str) -> list[dict[str, Any]]:
    """The exported fields of each task of a project; parents by title."""
    work = begin(ADMIN)
    tasks = await work.tasks.of_project(project_id)
    titles = {one.id: one.title for one in tasks}
    names = (
        "title",
        "description",
        "priority",
        "label_ids",
        "created_at",
        "started_at",
        "due_at",
        "due_on",
        "deleted_reason",
    )
    told = [
        {name: getattr(one, name) for name in names}
        # A file has no status for a task in the trash.
        | {"status": None if one.is_deleted else one.status, "is_deleted": one.is_deleted}
        | {"parent": titles.get(one.parent_id or "")}
        for one in tasks
    ]
    return sorted(told, key=lambda each: str(each["title"]))


async def test_an_import_of_what_was_exported_finds_everything_as_it_should_be(
    import_issues: ImportIssues, export: ExportTasks
) -> None:
    first = await brought(import_issues, beads(ISSUES))
    content = await export(actor(), "beads", project_id=first.project_id)

    again = await brought(import_issues, content)

    assert sorted(keys(content)) == ["bd-1", "bd-2", "bd-3", "bd-4", "bd-5"]
    assert again.changes_nothing
    assert (again.project_id, again.fates[Fate.UNCHANGED]) == (first.project_id, len(ISSUES))


DETAILS: list[TaskChanges] = [
    {"due_at": datetime(2026, 12, 5, 23, 59, 59, 999_000, tzinfo=UTC), "description": ""},
    {"due_on": date(2026, 12, 5), "description": None},
    {"due_at": datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "description": " \n"},
    {"due_on": date(1, 1, 1)},
]


async def test_tasks_made_here_come_back_in_another_project_as_they_were(
    begin: Begin, import_issues: ImportIssues, export: ExportTasks
) -> None:
    work = begin(actor())
    work.projects.save(project(1))
    work.labels.save(label(2, name="wet"))
    root = task(3, changes={"project_id": numbered_id(1), "label_ids": (numbered_id(2),)})
    work.tasks.save(root)
    for number, (status, priority) in enumerate(zip(TaskStatus, [*Priority, Priority.LOW], strict=True)):
        changes = TaskChanges(
            title=f"Step {number}",
            status=status,
            priority=priority,
            parent_id=root.id,
            project_id=numbered_id(1),
        )
        changes |= DETAILS[number]
        work.tasks.save(task(10 + number, changes=changes))
    await work.commit()
    work = begin(actor())
    work.tasks.save((await work.tasks.get(numbered_id(10))).discard(stamp(5), reason="too wet"))
    await work.commit()

    content = await export(actor(), "beads", project_id=numbered_id(1))
    report = await brought(import_issues, content, "Copy")

    assert report.project_id != numbered_id(1)
    assert await tasks_of(begin, report.project_id) == await tasks_of(begin, numbered_id(1))


async def test_what_another_tracker_requires_is_in_the_file(
    import_issues: ImportIssues, export: ExportTasks
) -> None:
    first = await brought(import_issues, beads(ISSUES))
    content = await export(actor(), "beads", project_id=first.project_id)
    by_key = {issue["id"]: issue for issue in map(json.loads, content.splitlines())}

    assert [by_key[f"bd-{number}"]["issue_type"] for number in (1, 3)] == ["task", "bug"]
    assert by_key["bd-1"]["labels"] == ["wet"]
    assert "labels" not in by_key["bd-3"]
    assert by_key["bd-4"]["closed_at"] == "2025-11-02T08:00:00.000Z"
    assert by_key["bd-4"]["due_at"] == "2025-11-03T23:59:59.999Z"
    assert by_key["bd-4"]["due_on"] == "2025-11-03"
    assert {(link["type"], link["depends_on_id"]) for link in by_key["bd-4"]["dependencies"]} == {
        ("blocks", "bd-2"),
        ("discovered-from", "bd-1"),
    }
    assert by_key["bd-5"]["original_type"] == "task"


async def test_the_real_export_goes_back_complete(import_issues: ImportIssues, export: ExportTasks) -> None:
    original = real_export("beads-2025-12-24.jsonl").read_bytes()
    first = await brought(import_issues, original)
    content = await export(actor(), "beads", project_id=first.project_id)
    given = {issue["id"]: issue for issue in map(json.loads, original.splitlines())}
    back = {issue["id"]: issue for issue in map(json.loads, content.splitlines())}

    assert back.keys() == given.keys()
    for key, issue in given.items():
        same = ("status", "closed_at") if issue["status"] == "closed" else ("issue_type",)
        assert [_instant(back[key].get(name)) for name in same] == [
            _instant(issue.get(name)) for name in same
        ]
        assert {"issue_type", "title", "status", "priority", "created_at", "updated_at"} <= back[key].keys()
    assert len(_blocks(back)) == 128
    assert _blocks(back) == _blocks(given)
    assert (await brought(import_issues, content)).changes_nothing


def _instant(text: str | None) -> object:
    """The instant in whole milliseconds; other texts as they are."""
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return text
    return int(instant.timestamp() * 1_000)


def _blocks(issues: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {
        (key, link["depends_on_id"])
        for key, issue in issues.items()
        for link in issue.get("dependencies", ())
        if link["type"] == "blocks"
    }


async def test_an_export_contains_the_visible_tasks_only(begin: Begin, export: ExportTasks) -> None:
    await save(begin, projects=[project(1, owner_id=BEN)], tasks=[task(2), task(3, by=BEN)])

    assert keys(await export(actor(), "beads")) == [numbered_id(2)]
    assert keys(await export(actor(BEN), "beads")) == [numbered_id(3)]
    assert sorted(keys(await export(ADMIN, "beads"))) == [numbered_id(2), numbered_id(3)]
    with pytest.raises(NotFound):
        await export(actor(), "beads", project_id=numbered_id(1))


async def test_a_file_is_whole_beyond_one_page(begin: Begin, export: ExportTasks) -> None:
    numbers = range(1, 451)
    await save(begin, tasks=[task(number, changes={"title": f"Bed {number}"}) for number in numbers])

    content = await export(actor(), "beads")

    assert sorted(keys(content)) == [numbered_id(number) for number in numbers]


async def test_a_parent_that_is_not_in_the_file_is_left_out(begin: Begin, export: ExportTasks) -> None:
    await save(begin, tasks=[task(1, by=BEN), task(2, changes={"parent_id": numbered_id(1)})])

    (line,) = (await export(actor(), "beads")).splitlines()

    assert "dependencies" not in json.loads(line)


def test_one_key_from_two_projects_stands_for_one_task_only() -> None:
    stamp_ = Stamp(NOON, ANNA)
    first, second = (
        Task.create(
            numbered_id(number), stamp_, {"title": "Dig"}, external_key=f"beads:{numbered_id(number)}:bd-1"
        )
        for number in (1, 2)
    )
    foreign = Task.create(numbered_id(3), stamp_, {"title": "Dig"}, external_key="trello:x:card")

    found = [one.key for one in exported([first, second, foreign], {}, "beads")]

    assert found == ["bd-1", second.id, foreign.id]


class VastWriter:
    """The port IssueWriter: any file is one byte too large."""

    def write(self, issues: Sequence[ExportedIssue]) -> bytes:
        return bytes(CONTENT_BYTES_MAX + 1 + len(issues))


async def test_what_no_import_would_read_is_not_written(begin: Begin) -> None:
    with pytest.raises(RuleBroken) as refused:
        await ExportTasks(begin, {"beads": VastWriter()}, Threads())(actor(), "beads")
    assert [fault.pointer for fault in refused.value.violations] == ["/projectId"]


async def test_a_format_that_nobody_knows_is_refused(export: ExportTasks) -> None:
    with pytest.raises(Invalid, match="beads"):
        await export(actor(), "cuneiform")


async def test_an_empty_file_is_no_fault(begin: Begin, export: ExportTasks) -> None:
    assert await export(actor(), "beads") == b""
    found = await begin(actor()).tasks.matching(TaskFilter(), PageRequest(sort=Sort("createdAt")))
    assert found.items == []
