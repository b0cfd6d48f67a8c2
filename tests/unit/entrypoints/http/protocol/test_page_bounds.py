"""Lists whose items are large: pages end early, and go on exactly where they ended."""

from typing import Any

import pytest

from adapters.records.criteria import Question
from adapters.records.record import Record
from adapters.records.specs import AUDIT_LOGS
from adapters.records.wrapped_store import WrappedStore
from adapters.repositories.audit_entries import LARGE_ENTRIES_AT_ONCE
from entrypoints.http.protocol.cursors import PAGE_BYTES_MAX
from tests.unit.entrypoints.http.service import ADMIN, Json, Service
from tests.unit.memory_store import MemoryRecordStore

ENVELOPE_BYTES_MAX = 4 * 1024


class NotingStore(WrappedStore):
    """Notes how many audit entries each question was answered with."""

    def __init__(self) -> None:
        super().__init__(MemoryRecordStore())
        self.entries_read: list[int] = []

    async def find(self, question: Question) -> list[Record]:
        found = await super().find(question)
        if question.collection == AUDIT_LOGS.collection:
            self.entries_read.append(len(found))
        return found


async def pages_of(service: Service, path: str, **more: Any) -> list[Json]:
    """Every page of a list; none is larger than a page may be."""
    pages: list[Json] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await service.call("GET", f"{path}&cursor={cursor}" if cursor else path, **more)
        assert answer.status_code == 200, answer.text[:500]
        pages.append(answer.json())
        assert len(answer.content) <= PAGE_BYTES_MAX + ENVELOPE_BYTES_MAX or len(pages[-1]["items"]) == 1
        assert ("link" in answer.headers) == (pages[-1]["nextCursor"] is not None)
        cursor = pages[-1]["nextCursor"]
        assert len(pages) < 100
    return pages


async def planned(service: Service, *, versions: int, items: int) -> str:
    """A timeline of so many versions, of so many items."""
    project = await service.made("/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{project['id']}/timeline"
    plan = [{"id": f"i{number}", "title": "x" * 450} for number in range(items)]
    for number in range(versions):
        plan[0]["title"] = f"Version {number}"
        saved = await service.call("PUT", path, {"items": plan})
        assert saved.status_code == 200, saved.text[:500]
    return path


@pytest.mark.parametrize("kind", ["versions", "audit"])
async def test_a_history_of_large_plans_comes_in_small_pages_and_whole(service: Service, kind: str) -> None:
    path = await planned(service, versions=7, items=1_500)

    pages = await pages_of(service, f"{path}/{kind}?limit=200")

    assert [entry["version"] for page in pages for entry in page["items"]] == [7, 6, 5, 4, 3, 2, 1]
    assert 1 < len(pages) < 7


async def test_the_whole_trail_ends_its_pages_early_too(service: Service) -> None:
    await planned(service, versions=6, items=1_500)

    pages = await pages_of(service, "/v1/audit?limit=200", by=ADMIN)

    ids = [entry["id"] for page in pages for entry in page["items"]]
    assert len(pages) > 1
    assert (len(ids), len(set(ids))) == (7, 7)


@pytest.mark.parametrize("limit", [4, 5, 6, 9, 10, 11, 200])
async def test_entries_that_may_be_large_are_read_a_few_at_a_time_and_shown_together(limit: int) -> None:
    store = NotingStore()
    service = Service(store)
    path = await planned(service, versions=11, items=1)
    store.entries_read.clear()

    pages = await pages_of(service, f"{path}/versions?limit={limit}")

    assert [len(page["items"]) for page in pages] == [min(limit, 11 - start) for start in range(0, 11, limit)]
    assert [entry["version"] for page in pages for entry in page["items"]] == list(range(11, 0, -1))
    assert max(store.entries_read) <= LARGE_ENTRIES_AT_ONCE


async def test_an_old_plan_is_found_reading_a_few_entries_at_a_time() -> None:
    store = NotingStore()
    service = Service(store)
    path = await planned(service, versions=12, items=1)
    store.entries_read.clear()

    first = await service.call("GET", f"{path}/versions/1")

    assert first.json()["items"][0]["title"] == "Version 0"
    assert max(store.entries_read) <= LARGE_ENTRIES_AT_ONCE


@pytest.mark.parametrize("question", ["", "&q=task", "&sort=dueAt", "&watching=true"])
async def test_tasks_with_long_descriptions_come_in_small_pages_and_each_once(
    service: Service, question: str
) -> None:
    ids = []
    for number in range(16):
        # A control character takes six bytes in an answer.
        body = {"title": f"Task {number}", "description": "\x01" * 50_000}
        ids.append((await service.made("/v1/tasks", body))["id"])
        await service.call("PUT", f"/v1/watchlist/{ids[-1]}")

    pages = await pages_of(service, f"/v1/tasks?limit=200{question}")

    assert len(pages) == 2
    assert sorted(task["id"] for page in pages for task in page["items"]) == sorted(ids)
    watched = await pages_of(service, "/v1/watchlist?limit=200")
    assert len(watched) == 2
    assert sorted(each["id"] for page in watched for each in page["items"]) == sorted(ids)
