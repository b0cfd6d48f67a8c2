"""Imports for tests: files, and the stored records afterwards."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.interchange.beads import BeadsReader
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.system.threads import Threads
from application.interchange.imports import ImportIssues, ImportRequest
from application.interchange.report import ImportReport
from application.paging import PageRequest
from application.ports.clock import Clock
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from domain.task import Task
from tests.unit.builders import NUMBERS, actor

COLLECTIONS = ("projects", "labels", "tasks", "audit_logs")


def beads(*issues: dict[str, Any]) -> bytes:
    """A file with these issues; missing fields have defaults."""
    plain = {"status": "open", "priority": 2, "created_at": "2025-10-27T22:55:44.511-07:00"}
    lines = [{"title": f"Title of {issue['id']}", **plain, **issue} for issue in issues]
    return "\n".join(json.dumps(line) for line in lines).encode()


def child_of(parent: str) -> list[dict[str, str]]:
    return [{"type": "parent-child", "depends_on_id": parent}]


TOMBSTONE = {"status": "tombstone", "deleted_at": "2025-12-01T00:00:00Z", "delete_reason": "done elsewhere"}

Import = Callable[..., Awaitable[ImportReport]]


async def contents(store: RecordStore) -> dict[str, dict[str, Record]]:
    """All stored records, by collection and id."""
    return {
        name: {record["id"]: record for record in await store.scan(name, after=None, limit=5_000)}
        for name in COLLECTIONS
    }


async def task_named(begin: Begin, title: str, *, deleted: bool = False) -> Task:
    found = await begin(actor()).tasks.matching(
        TaskFilter(text=title, deleted=deleted), PageRequest(limit=200)
    )
    (task,) = [each for each in found.items if each.title == title]
    return task


def counts(report: ImportReport) -> dict[str, int]:
    return {fate.value: count for fate, count in report.fates.items() if count}


def importer(begin: Begin, clock: Clock) -> Import:
    """Imports a file of the format beads into a project of the default actor."""
    use_case = ImportIssues(begin, clock, {"beads": BeadsReader()}, NUMBERS, Threads())

    async def bring(
        content: bytes, *, is_dry_run: bool = False, is_strict: bool = False, name: str = "Beads"
    ) -> ImportReport:
        request = ImportRequest(
            content=content, format="beads", project_name=name, is_dry_run=is_dry_run, is_strict=is_strict
        )
        return await use_case(actor(), request)

    return bring
