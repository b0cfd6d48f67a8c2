from datetime import UTC, date, datetime
from typing import Any

import pytest

from adapters.interchange.beads import BeadsReader
from adapters.records.record_store import RecordStore
from adapters.system.threads import Threads
from application.interchange.imports import (
    ImportIssues,
    ImportRequest,
)
from application.labels import EditLabel
from application.paging import PageRequest, Sort
from application.ports.clock import Clock
from application.ports.repositories import AuditFilter, ProjectFilter, TaskFilter
from application.ports.unit_of_work import Begin
from application.projects.commands import DeleteProject
from application.tasks.commands import DeleteTask, EditTask, RestoreTask
from domain.audit import Action
from domain.errors import Conflict, Invalid
from domain.task import TaskChanges, TaskStatus
from domain.task_changes import LinkKind, TaskLink
from tests.real_exports import real_export
from tests.unit.application.interchange.importing import (
    TOMBSTONE,
    Import,
    beads,
    child_of,
    contents,
    counts,
    task_named,
)
from tests.unit.builders import NUMBERS, actor, stamp


async def test_an_issue_becomes_a_task_as_old_as_it_was(bring: Import, begin: Begin, clock: Clock) -> None:
    report = await bring(beads({"id": "bd-1", "issue_type": "bug", "started_at": "2025-11-01T08:00:00Z"}))
    task = await task_named(begin, "Title of bd-1")
    (entry,) = (
        await begin(actor(admin=True)).audit.matching(
            AuditFilter(collection="tasks"), PageRequest(sort=Sort("at"))
        )
    ).items
    assert counts(report) == {"created": 1}
    assert task.created_at == datetime(2025, 10, 28, 5, 55, 44, 511_000, tzinfo=UTC)
    assert task.started_at == datetime(2025, 11, 1, 8, tzinfo=UTC)
    assert task.external_key == f"beads:{report.project_id}:bd-1"
    assert task.project_id == report.project_id
    assert entry.action is Action.IMPORTED
    assert entry.at == task.updated_at > task.created_at
    label = (await begin(actor()).labels.named(["bug"]))["bug"]
    assert task.label_ids == (label.id,)


@pytest.mark.parametrize(
    ("title", "kept", "is_reported"),
    [
        ("a\x1bb", "a b", True),
        ("a\u202eb", "ab", True),
        ("two\nlines", "two lines", True),
        ("a\u0000b", "ab", True),
        ("a\ud800", "a", True),
        ("\u200b\u3164", "bd-1", True),
        (" Cafe\u0301 ", "Café", False),
    ],
)
async def test_a_title_is_brought_under_the_rule_and_the_report_says_so(
    bring: Import, begin: Begin, *, title: str, kept: str, is_reported: bool
) -> None:
    report = await bring(beads({"id": "bd-1", "title": title}))
    assert (await task_named(begin, kept)).title == kept
    assert [loss.examples for loss in report.lost if loss.field == "title"] == [("bd-1",)] * is_reported
    again = await bring(beads({"id": "bd-1", "title": title}))
    assert counts(again) == {"unchanged": 1}


async def test_spellings_of_one_label_are_one_label(bring: Import, begin: Begin) -> None:
    await bring(beads({"id": "bd-0", "labels": ["Red"]}))
    report = await bring(
        beads({"id": "bd-1", "labels": ["RED", "Blue\u200b"]}, {"id": "bd-2", "labels": ["blue", "\u3164"]})
    )
    work = begin(actor())
    red, blue = (await work.labels.named(["red", "BLUE"])).values()
    assert (red.name, blue.name, report.new_labels) == ("Red", "Blue", ("Blue",))
    assert (await task_named(begin, "Title of bd-1")).label_ids == tuple(sorted((red.id, blue.id)))
    assert [loss.count for loss in report.lost if loss.field == "labels"] == [1, 1, 1]


async def test_the_first_spelling_of_a_label_counts_and_the_report_names_the_others(
    bring: Import, begin: Begin, store: RecordStore
) -> None:
    report = await bring(beads({"id": "a", "labels": ["Foo", "foo", "FOO"]}, {"id": "b", "labels": ["foo"]}))
    assert report.new_labels == ("Foo",)
    stored = await contents(store)
    assert [label["name"] for label in stored["labels"].values()] == ["Foo"]
    assert [len(task["labelIds"]) for task in stored["tasks"].values()] == [1, 1]
    assert [(loss.why, loss.examples) for loss in report.lost if loss.field == "labels"] == [
        ("“foo” becomes “Foo”: case makes no other label", ("a", "b")),
        ("“FOO” becomes “Foo”: case makes no other label", ("a",)),
    ]


async def test_a_tombstone_is_in_the_trash_with_its_reason(bring: Import, begin: Begin) -> None:
    report = await bring(beads({"id": "bd-1", **TOMBSTONE}))
    task = await task_named(begin, "Title of bd-1", deleted=True)
    assert counts(report) == {"createdInTrash": 1}
    assert (task.deleted_at, task.deleted_reason) == (task.updated_at, "done elsewhere")
    assert ("deletedAt", 1) in {(loss.field, loss.count) for loss in report.lost}


async def test_children_find_their_parents_in_any_order(bring: Import, begin: Begin) -> None:
    await bring(
        beads(
            {"id": "bd-3", "dependencies": child_of("bd-2")},
            {"id": "bd-2", "dependencies": child_of("bd-1")},
            {"id": "bd-1"},
        )
    )
    tasks = [await task_named(begin, f"Title of bd-{number}") for number in (1, 2, 3)]
    assert [task.parent_id for task in tasks] == [None, tasks[0].id, tasks[1].id]


async def test_a_parent_of_an_earlier_file_is_found_and_an_unknown_one_is_reported(
    bring: Import, begin: Begin
) -> None:
    await bring(beads({"id": "bd-1"}))
    report = await bring(
        beads(
            {"id": "bd-2", "dependencies": child_of("bd-1")},
            {"id": "bd-3", "dependencies": child_of("elsewhere")},
        )
    )
    parent = await task_named(begin, "Title of bd-1")
    assert (await task_named(begin, "Title of bd-2")).parent_id == parent.id
    assert (await task_named(begin, "Title of bd-3")).parent_id is None
    assert [(loss.field, loss.examples) for loss in report.lost] == [("parentId", ("bd-3",))]


async def test_a_second_import_changes_nothing(bring: Import, store: RecordStore) -> None:
    content = beads({"id": "bd-1", "labels": ["x"]}, {"id": "bd-2", **TOMBSTONE})
    await bring(content)
    before = await contents(store)
    report = await bring(content)
    assert counts(report) == {"unchanged": 2}
    assert report.changes_nothing
    assert await contents(store) == before


async def test_an_import_again_brings_only_the_differences(bring: Import, begin: Begin) -> None:
    await bring(beads({"id": "bd-1"}, {"id": "bd-2"}, {"id": "bd-3"}))
    report = await bring(
        beads({"id": "bd-1"}, {"id": "bd-2", "status": "closed"}, {"id": "bd-3", **TOMBSTONE})
    )
    changed = await task_named(begin, "Title of bd-2")
    trashed = await task_named(begin, "Title of bd-3", deleted=True)
    assert counts(report) == {"changed": 1, "trashed": 1, "unchanged": 1}
    assert (changed.version, changed.status) == (2, TaskStatus.DONE)
    assert (trashed.version, trashed.deleted_reason) == (2, "done elsewhere")


async def test_what_people_changed_here_stays_and_a_clash_is_reported(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    await bring(beads({"id": "bd-1"}))
    task = await task_named(begin, "Title of bd-1")
    edit = EditTask(begin, clock, NUMBERS)
    await edit(actor(), task.id, {"title": "Ours", "status": TaskStatus.BLOCKED}, expected_version=None)
    again = await bring(beads({"id": "bd-1"}))
    assert counts(again) == {"unchanged": 1}
    report = await bring(beads({"id": "bd-1", "title": "Theirs", "priority": 0}))
    repeated = await bring(beads({"id": "bd-1", "title": "Theirs", "priority": 0}))
    task = await task_named(begin, "Ours")
    assert (task.status, task.priority.name, task.version) == (TaskStatus.BLOCKED, "HIGH", 3)
    assert counts(report) == {"changed": 1}
    assert counts(repeated) == {"unchanged": 1}
    assert "title" in [loss.field for loss in report.lost]


async def test_a_field_that_users_changed_does_not_count_as_imported_later(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    await bring(beads({"id": "bd-1"}))
    task = await task_named(begin, "Title of bd-1")
    await EditTask(begin, clock, NUMBERS)(
        actor(), task.id, {"status": TaskStatus.DONE}, expected_version=None
    )
    await bring(beads({"id": "bd-1", "priority": 4}))
    report = await bring(beads({"id": "bd-1", "priority": 4}))
    assert counts(report) == {"unchanged": 1}
    assert (await task_named(begin, "Title of bd-1")).status is TaskStatus.DONE


async def test_what_a_person_trashed_stays_in_the_trash(bring: Import, begin: Begin, clock: Clock) -> None:
    await bring(beads({"id": "bd-1"}))
    task = await task_named(begin, "Title of bd-1")
    await DeleteTask(begin, clock, NUMBERS)(actor(), task.id, expected_version=None)
    report = await bring(beads({"id": "bd-1", "title": "Changed there"}))
    assert counts(report) == {"skipped": 1}
    assert [(skip.key, skip.why) for skip in report.skipped] == [("bd-1", "is in the trash here")]
    assert (await begin(actor()).tasks.get(task.id)).version == 2


async def test_a_tombstone_that_came_back_there_stays_in_the_trash_here(bring: Import, begin: Begin) -> None:
    await bring(beads({"id": "bd-1", **TOMBSTONE}))
    report = await bring(beads({"id": "bd-1"}))
    assert counts(report) == {"skipped": 1}
    assert (await task_named(begin, "Title of bd-1", deleted=True)).version == 1


async def test_permanently_removed_entities_are_not_imported_again(
    bring: Import, begin: Begin, clock: Clock, store: RecordStore
) -> None:
    issues: list[dict[str, Any]] = [
        {"id": "bd-1", "labels": ["red"]},
        {"id": "bd-2", "dependencies": child_of("bd-1")},
    ]
    await bring(beads(*issues))
    work = begin(actor(admin=True))
    parent = (await work.tasks.matching(TaskFilter(text="bd-1"), PageRequest())).items[0]
    red = (await work.labels.named(["red"]))["red"]
    work.tasks.erase(parent, stamp())
    work.labels.erase(red, stamp())
    await work.commit()
    before = await contents(store)

    newer = {"id": "bd-3", "dependencies": child_of("bd-1"), "labels": ["red"]}
    for is_dry_run in (True, False):
        report = await bring(beads(*issues, newer), is_dry_run=is_dry_run)
        assert [(skip.key, skip.why) for skip in report.skipped] == [("bd-1", "was permanently removed here")]
        assert (counts(report)["created"], report.new_labels) == (1, ())
        lost = {(loss.field, loss.why): loss.examples for loss in report.lost}
        assert lost["parentId", "the parent was permanently removed here"] == ("bd-2", "bd-3")
        assert lost["labelIds", "the label was permanently removed here"] == ("bd-3",)

    after = await contents(store)
    made = after["tasks"].keys() - before["tasks"].keys()
    assert [(after["tasks"][id_]["parentId"], after["tasks"][id_]["labelIds"]) for id_ in made] == [
        (None, [])
    ]
    assert after["tasks"][parent.id] == before["tasks"][parent.id]
    assert after["labels"] == before["labels"]


async def test_what_a_person_restored_is_not_trashed_again(bring: Import, begin: Begin, clock: Clock) -> None:
    content = beads({"id": "bd-1", **TOMBSTONE})
    await bring(content)
    task = await task_named(begin, "Title of bd-1", deleted=True)
    await RestoreTask(begin, clock, NUMBERS)(actor(), task.id, expected_version=None)
    report = await bring(content)
    assert counts(report) == {"skipped": 1}
    assert not (await begin(actor()).tasks.get(task.id)).is_deleted


async def test_a_label_that_was_renamed_here_is_still_the_same(
    bring: Import, begin: Begin, clock: Clock, store: RecordStore
) -> None:
    content = beads({"id": "bd-1", "labels": ["x"]})
    await bring(content)
    label = (await begin(actor()).labels.named(["x"]))["x"]
    await EditLabel(begin, clock)(actor(), label.id, {"name": "y"}, expected_version=None)
    before = await contents(store)
    assert (await bring(content)).changes_nothing
    assert await contents(store) == before


async def test_a_project_in_the_trash_refuses_the_import(
    bring: Import, begin: Begin, clock: Clock, store: RecordStore
) -> None:
    first = await bring(beads({"id": "bd-1"}))
    await DeleteProject(begin, clock)(actor(), first.project_id, expected_version=None)
    before = await contents(store)
    with pytest.raises(Conflict, match="in the trash"):
        await bring(beads({"id": "bd-1"}))
    assert await contents(store) == before


async def test_a_dry_run_tells_the_same_and_changes_nothing(bring: Import, store: RecordStore) -> None:
    content = beads({"id": "bd-1", "labels": ["x"]}, {"id": "bd-2", **TOMBSTONE})
    dry = await bring(content, is_dry_run=True)
    stored = await contents(store)
    real = await bring(content)
    assert all(not records for records in stored.values())
    assert (dry.fates, dry.lost, dry.new_labels) == (real.fates, real.lost, real.new_labels)
    assert dry.project_id == real.project_id


FAULTS = [
    (b"{", "line 2: is not JSON"),
    (beads({"id": "bad", "title": "x" * 501}), "line 2, title: must have 1 to 500 characters"),
    (beads({"id": "bad", "status": "sleeping"}), "line 2, status: must be one of blocked, closed, "),
    (
        beads({"id": "bad", "description": "x" * 30_000, "design": "y" * 30_000}),
        "line 2, description: must have 0 to 50000 characters",
    ),
    (b'{"id": "bad", "id": "worse"}', "line 2, id: is given more than once"),
    (
        b'{"id": "bad", "dependencies": [{"type": "blocks", "type": "related"}]}',
        "line 2, dependencies/0/type: is given more than once",
    ),
]


@pytest.mark.parametrize(("broken", "message"), FAULTS)
async def test_an_issue_that_does_not_fit_is_skipped_and_named(
    bring: Import, begin: Begin, broken: bytes, message: str
) -> None:
    report = await bring(b"\n".join((beads({"id": "bd-1"}), broken, beads({"id": "bd-2"}))))
    assert counts(report) == {"created": 2, "skipped": 1}
    (skip,) = report.skipped
    assert message in f"{skip.key}: {skip.why}"
    assert f"{skip.key}: {skip.why}".count("line 2") == 1
    for number in (1, 2):
        await task_named(begin, f"Title of bd-{number}")


@pytest.mark.parametrize(
    ("broken", "message"),
    [*FAULTS, (beads({"id": "bd-2", "labels": ["x" * 101]}), f"label “{'x' * 40}”: must have 1 to 100 ")],
)
async def test_a_strict_import_refuses_the_whole_file(
    bring: Import, store: RecordStore, broken: bytes, message: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        await bring(b"\n".join((beads({"id": "bd-1"}), broken)), is_strict=True)
    assert message in refusal.value.violations[0].message
    assert all(not records for records in (await contents(store)).values())


async def test_a_label_that_no_label_can_be_is_left_out(bring: Import, begin: Begin) -> None:
    report = await bring(beads({"id": "bd-1", "labels": ["x" * 101, "wet"]}))
    assert counts(report) == {"created": 1}
    assert report.new_labels == ("wet",)
    assert len((await task_named(begin, "Title of bd-1")).label_ids) == 1
    assert [loss.field for loss in report.lost] == ["labelIds"]


MANY_LABELS = [f"label {number}" for number in range(51)]


@pytest.mark.parametrize("is_dry_run", [True, False])
async def test_labels_that_only_skipped_issues_have_are_not_created(
    bring: Import, store: RecordStore, is_dry_run: bool
) -> None:
    skipped = {"id": "bd-1", "labels": MANY_LABELS}
    report = await bring(beads(skipped, {"id": "bd-2", "labels": ["label 7", "wet"]}), is_dry_run=is_dry_run)
    assert counts(report) == {"skipped": 1, "created": 1}
    assert report.new_labels == ("label 7", "wet")
    names = {record["name"] for record in (await contents(store))["labels"].values()}
    assert names == (set() if is_dry_run else {"label 7", "wet"})


async def test_an_issue_whose_task_is_in_the_trash_or_removed_brings_no_label(
    bring: Import, begin: Begin, clock: Clock, store: RecordStore
) -> None:
    await bring(beads({"id": "gone"}, {"id": "trashed"}, {"id": "live"}))
    work = begin(actor(admin=True))
    gone = (await work.tasks.matching(TaskFilter(text="gone"), PageRequest())).items[0]
    work.tasks.erase(gone, stamp())
    await work.commit()
    trashed = await task_named(begin, "Title of trashed")
    await DeleteTask(begin, clock, NUMBERS)(actor(), trashed.id, expected_version=None)
    before = await contents(store)

    newer = [{"id": key, "labels": [f"of {key}"]} for key in ("gone", "trashed")]
    newer.append({"id": "live", "labels": ["of live"], **TOMBSTONE})
    dry = await bring(beads(*newer), is_dry_run=True)
    assert await contents(store) == before
    report = await bring(beads(*newer))

    assert counts(report) == counts(dry) == {"skipped": 2, "trashed": 1}
    assert (report.new_labels, dry.new_labels) == ((), ())
    after = await contents(store)
    assert after["labels"] == before["labels"] == {}
    assert after["tasks"][trashed.id] == before["tasks"][trashed.id]


async def test_a_task_restored_later_gets_the_label_that_waited(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    await bring(beads({"id": "bd-1"}))
    made = await task_named(begin, "Title of bd-1")
    await DeleteTask(begin, clock, NUMBERS)(actor(), made.id, expected_version=None)
    newer = beads({"id": "bd-1", "labels": ["wet"]})
    await bring(newer)
    await RestoreTask(begin, clock, NUMBERS)(actor(), made.id, expected_version=None)
    report = await bring(newer)
    label = (await begin(actor()).labels.named(["wet"]))["wet"]
    assert (counts(report), report.new_labels) == ({"changed": 1}, ("wet",))
    assert (await task_named(begin, "Title of bd-1")).label_ids == (label.id,)


async def test_of_issues_that_contain_each_other_one_is_at_the_top(bring: Import, begin: Begin) -> None:
    issues = [{"id": "a", "dependencies": child_of("b")}, {"id": "b", "dependencies": child_of("a")}]
    report = await bring(beads(*issues, {"id": "c", "dependencies": child_of("c")}))
    tasks = [await task_named(begin, f"Title of {key}") for key in "abc"]
    assert [task.parent_id is None for task in tasks].count(True) == 2
    assert [(loss.field, loss.count) for loss in report.lost] == [("parentId", 2)]


DATED = {
    "id": "bd-1",
    "due_at": "2026-12-24T10:00:00Z",
    "defer_until": "2026-12-01T08:00:00Z",
    "dependencies": [{"type": "blocks", "depends_on_id": "bd-2"}],
}


async def test_dates_and_links_come_over(bring: Import, begin: Begin) -> None:
    closed = {"id": "bd-2", "status": "closed", "closed_at": "2025-12-20T08:00:00Z"}
    report = await bring(beads(DATED, closed))
    blocked, blocking = [await task_named(begin, f"Title of bd-{number}") for number in (1, 2)]
    assert blocked.due_at == datetime(2026, 12, 24, 10, tzinfo=UTC)
    assert blocked.deferred_till == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert blocking.completed_at == datetime(2025, 12, 20, 8, tzinfo=UTC)
    assert blocking.links == (TaskLink(LinkKind.BLOCKS, blocked.id),)
    assert report.lost == ()


async def test_a_file_without_the_blocked_issue_keeps_the_link(bring: Import, begin: Begin) -> None:
    await bring(beads(DATED, {"id": "bd-2"}))
    report = await bring(beads({"id": "bd-2"}))
    assert report.changes_nothing
    assert len((await task_named(begin, "Title of bd-2")).links) == 1


async def test_dates_and_links_follow_the_file_unless_users_changed_them(
    bring: Import, begin: Begin, clock: Clock
) -> None:
    await bring(beads(DATED, {"id": "bd-2"}, {"id": "bd-3", "due_at": "2026-12-24T10:00:00Z"}))
    changed = await task_named(begin, "Title of bd-3")
    by_day: TaskChanges = {"due_at": None, "due_on": date(2026, 12, 30)}
    await EditTask(begin, clock, NUMBERS)(actor(), changed.id, by_day, expected_version=None)
    later: dict[str, Any] = {"due_at": "2026-12-25", "defer_until": None, "dependencies": []}
    moved = {"id": "bd-3", "due_at": "2026-12-26T10:00:00Z"}
    closing = {"id": "bd-2", "status": "closed", "closed_at": "2025-12-20T08:00:00Z"}
    report = await bring(beads({**DATED, **later}, closing, moved))
    first, second, third = [await task_named(begin, f"Title of bd-{number}") for number in (1, 2, 3)]
    assert (first.due_at, first.due_on, first.deferred_till) == (None, date(2026, 12, 25), None)
    assert (second.links, second.completed_at) == ((), datetime(2025, 12, 20, 8, tzinfo=UTC))
    assert (third.due_at, third.due_on) == (None, date(2026, 12, 30))
    assert [(loss.field, loss.examples) for loss in report.lost] == [("dueAt", ("bd-3",))]


async def test_an_unknown_format_is_refused(begin: Begin, clock: Clock) -> None:
    use_case = ImportIssues(begin, clock, {"beads": BeadsReader()}, NUMBERS, Threads())
    with pytest.raises(Invalid, match="use one of beads"):
        await use_case(actor(), ImportRequest(content=b"", format="abacus", project_name="x"))


async def test_the_real_export_comes_over_completely(bring: Import, store: RecordStore, begin: Begin) -> None:
    content = real_export("beads-2025-12-24.jsonl").read_bytes()
    report = await bring(content)
    stored = await contents(store)
    tasks = list(stored["tasks"].values())
    live = [task for task in tasks if not task["isDeleted"]]
    assert counts(report) == {"created": 428, "createdInTrash": 99}
    assert sorted(report.new_labels) == [
        "bug",
        "chore",
        "epic",
        "feature",
        "gate",
        "merge-request",
        "message",
        "molecule",
    ]
    assert len(tasks) == 527
    assert sum(task["status"] == "DONE" for task in live) == 360
    assert sum(task["status"] == "IN_PROGRESS" for task in live) == 8
    assert sum(task["status"] == "TODO" for task in live) == 51 + 6 + 3
    assert [sum(task["priority"] == rank for task in tasks) for rank in (1, 2, 3)] == [252, 213, 62]
    assert sum(task["parentId"] is not None for task in tasks) == 137
    assert {task["deletedReason"] for task in tasks if task["isDeleted"]} == {
        "batch delete (by batch delete)",
        "delete (by daemon)",
        "manual delete (by stevey)",
    }
    lost = {(loss.field, loss.count) for loss in report.lost}
    assert lost == {
        ("updatedAt", 527),
        ("created_at", 527),
        ("updated_at", 527),
        ("closed_at", 360),
        ("deleted_at", 99),
        ("priority", 252),
        ("deletedAt", 99),
        ("status", 99),
        ("priority", 62),
        ("status", 6),
        ("status", 3),
        ("dependencies.parent-child", 3),
        ("dependencies.replies-to", 2),
        ("dependencies.supersedes", 1),
    }
    again = await bring(content)
    assert counts(again) == {"unchanged": 527}
    assert await contents(store) == stored


async def test_the_project_of_that_name_receives_the_tasks(bring: Import, begin: Begin) -> None:
    first = await bring(beads({"id": "bd-1"}), name="Pond")
    second = await bring(beads({"id": "bd-1"}), name="Meadow")
    projects = (await begin(actor()).projects.matching(ProjectFilter(), PageRequest())).items
    assert {project.name: project.owner_id for project in projects} == {
        "Pond": actor().id,
        "Meadow": actor().id,
    }
    assert first.project_id != second.project_id
    assert counts(second) == {"created": 1}


async def test_two_spellings_of_one_name_are_one_label_and_one_project(
    bring: Import, begin: Begin, store: RecordStore
) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    report = await bring(
        beads({"id": "a", "labels": [composed, apart]}, {"id": "b", "labels": [apart]}), name=apart
    )
    assert report.new_labels == (composed,)
    assert report.project_name == composed
    again = await bring(beads({"id": "c", "labels": [composed]}), name=composed)
    assert (again.new_labels, again.project_id) == ((), report.project_id)
    (label_id,) = (await contents(store))["labels"]
    tasks = (await contents(store))["tasks"].values()
    assert [task["labelIds"] for task in tasks] == [[label_id]] * 3


async def test_white_space_around_names_makes_no_other_label_and_no_other_project(
    bring: Import, store: RecordStore
) -> None:
    await bring(beads({"id": "a", "labels": ["bug"]}), name="Pond")
    await bring(beads({"id": "b", "labels": [" bug", "bug "]}), name=" Pond\u00a0")
    stored = await contents(store)
    assert [label["name"] for label in stored["labels"].values()] == ["bug"]
    assert [project["name"] for project in stored["projects"].values()] == ["Pond"]
    assert [len(task["labelIds"]) for task in stored["tasks"].values()] == [1, 1]
