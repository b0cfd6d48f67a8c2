"""Lists: every order, pages to the end, filters and words, the same in every store mode."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, get_args, get_type_hints

import pytest
import pytest_asyncio

from entrypoints.http.labels import LabelQuery
from entrypoints.http.projects.schemas import ProjectQuery
from entrypoints.http.protocol.schemas import TrashQuery
from entrypoints.http.tasks.queries import TaskQuery
from tests.integration.journeys.service import JourneyService, Person
from tests.unit.entrypoints.http.service import Json, pointers

pytestmark = pytest.mark.asyncio(loop_scope="session")

RANKS = {"HIGH": 1, "MEDIUM": 2, "LOW": 3}
# Null first, then text by code point: capitals before small letters, both before what is not ASCII.
NAMES = ("b", "B", "a", "Ä", "ä", "Z", "aa", "a b", "\N{ROCKET}", "\uffee", "_", "10", "9")
DUE = (None, "2026-03-01T00:00:00.000Z", "2026-03-01T00:00:00.001Z", None, "2026-02-28T23:59:59.999Z")
TASKS = 23


@pytest_asyncio.fixture(loop_scope="session")
async def project_id(service: JourneyService, anna: Person) -> str:
    """A project of Anna's with tasks that agree in most fields they are sorted by."""
    project = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    for number in range(TASKS):
        body = {
            "title": f"Task {number}",
            "projectId": project["id"],
            "priority": sorted(RANKS)[number % 3],
            "dueAt": DUE[number % len(DUE)] if number % 7 else None,
            "dueOn": None if number % 7 else ("2026-02-28", "2026-03-01")[number % 2],
            "status": ("TODO", "DONE")[number % 2],
        }
        await service.view(anna, "POST", "/v1/tasks", body)
    return str(project["id"])


def orders_of(query: type[Any]) -> Sequence[str]:
    """Every order by a field that a list offers; relevance is no field and needs words."""
    hint = get_type_hints(query)["sort"]
    offered = [*get_args(hint), *chain.from_iterable(map(get_args, get_args(hint)))]
    orders = [order for order in offered if isinstance(order, str) and order != "relevance"]
    assert len(orders) >= 4
    return orders


def _sorted_by(item: Json, field: str) -> Any:
    """What a field is sorted by, which for some is not what it shows."""
    if field == "priority":
        return RANKS[item[field]]
    if field == "dueAt" and item["dueOn"] is not None:
        return f"{item['dueOn']}T23:59:59.999Z"
    return int(item[field].removeprefix("#")) if field == "displayId" else item[field]


def in_order(items: Sequence[Json], order: str) -> list[Json]:
    """The items as the contract orders them: nulls last, text by code point, ties by id; a minus turns both parts."""
    field, is_descending = order.removeprefix("-"), order.startswith("-")
    absent = [item for item in items if _sorted_by(item, field) is None]
    present = [item for item in items if item not in absent]
    present.sort(key=lambda item: (_sorted_by(item, field), item["id"]), reverse=is_descending)
    absent.sort(key=lambda item: str(item["id"]), reverse=is_descending)
    return [*present, *absent]


async def require_order(
    service: JourneyService, person: Person, *, path: str, order: str, items: Sequence[Json]
) -> None:
    """Asks page by page and all at once: the same items in the same order, none missing, none twice."""
    expected = in_order(items, order)
    pages = await service.pages(person, f"{path}sort={order}&limit=4")
    whole = await service.view(person, "GET", f"{path}sort={order}&limit=200&count=exact")

    assert [len(page) for page in pages[:-1]] == [4] * (len(pages) - 1)
    assert [item for page in pages for item in page] == expected, order
    assert whole == {"items": expected, "nextCursor": None, "total": len(items)}, order


async def test_tasks_come_in_every_order_page_by_page(
    service: JourneyService, anna: Person, project_id: str
) -> None:
    path = f"/v1/tasks?projectId={project_id}&"
    items = await service.items(anna, f"{path}limit=7")
    assert len(items) == TASKS
    for order in orders_of(TaskQuery):
        await require_order(service, anna, path=path, order=order, items=items)


async def test_projects_come_in_every_order_page_by_page(service: JourneyService, anna: Person) -> None:
    made = [await service.view(anna, "POST", "/v1/projects", {"name": name}) for name in NAMES]
    for order in orders_of(ProjectQuery):
        await require_order(service, anna, path="/v1/projects?", order=order, items=made)


async def test_labels_come_in_every_order_page_by_page(service: JourneyService, anna: Person) -> None:
    # Labels belong to everybody, so those of this journey share a word nobody else uses.
    # Names that differ in case only are one name.
    names = {name.casefold(): name for name in NAMES}.values()
    made = [await service.view(anna, "POST", "/v1/labels", {"name": f"{name} {anna.id}"}) for name in names]
    for order in orders_of(LabelQuery):
        await require_order(service, anna, path=f"/v1/labels?q={anna.id}&", order=order, items=made)


async def test_the_trash_comes_in_every_order_page_by_page(
    service: JourneyService, anna: Person, project_id: str
) -> None:
    for task in (await service.items(anna, f"/v1/tasks?projectId={project_id}"))[:9]:
        await service.call(anna, "DELETE", f"/v1/tasks/{task['id']}", expect=204)
    items = await service.items(anna, "/v1/tasks/trash")
    assert len(items) == 9
    for order in orders_of(TrashQuery):
        await require_order(service, anna, path="/v1/tasks/trash?", order=order, items=items)


async def test_a_list_that_grows_while_it_is_read_ends_and_repeats_nothing(
    service: JourneyService, anna: Person, project_id: str
) -> None:
    path = f"/v1/tasks?projectId={project_id}&sort=-createdAt&limit=5"
    standing = [task["id"] for task in await service.items(anna, path)]
    seen: list[str] = []
    address: str | None = path
    while address is not None and len(seen) <= 2 * TASKS:
        answer = await service.call(anna, "GET", address, expect=200)
        seen += [item["id"] for item in answer.json()["items"]]
        await service.view(anna, "POST", "/v1/tasks", {"title": "meanwhile", "projectId": project_id})
        address = answer.links.get("next", {}).get("url")

    assert seen == standing


FILTERS: list[tuple[str, Callable[[Json], bool]]] = [
    ("status=DONE", lambda task: task["status"] == "DONE"),
    ("priority=LOW", lambda task: task["priority"] == "LOW"),
    ("status=TODO&priority=HIGH", lambda task: (task["status"], task["priority"]) == ("TODO", "HIGH")),
    (
        "dueBefore=2026-03-01T00:00:00.001Z",
        lambda task: task["dueAt"] in DUE[4:] + DUE[1:2] or task["dueOn"] == "2026-02-28",
    ),
    (
        "dueAfter=2026-03-01T01:00:00%2B01:00",
        lambda task: task["dueAt"] in DUE[1:3] or task["dueOn"] == "2026-03-01",
    ),
    (
        "dueAfter=2026-02-28&dueBefore=2026-03-01",
        lambda task: task["dueAt"] in DUE[4:] or task["dueOn"] == "2026-02-28",
    ),
    ("dueAfter=2026-03-02", lambda task: False),
    ("dueBefore=2026-02-28", lambda task: False),
    ("updatedAfter=2000-01-01", lambda task: True),
    ("updatedAfter=2999-01-01T00:00:00Z", lambda task: False),
    ("status=TODO,DONE", lambda task: True),
    ("status=DEFERRED,DONE", lambda task: task["status"] == "DONE"),
    ("priority=HIGH,LOW", lambda task: task["priority"] != "MEDIUM"),
    ("assigneeId=none", lambda task: True),
    ("assigneeId=me", lambda task: False),
    ("createdBy=me", lambda task: True),
    ("parentId=none", lambda task: True),
    ("displayId=999999999,%23999999998", lambda task: False),
    ("q=task%207&displayId=999999999", lambda task: False),
    ("q=task%2012", lambda task: task["title"] == "Task 12"),
    ("q=TASK", lambda task: True),
    ("q=tas", lambda task: True),
    ("q=ask", lambda task: False),
    ("q=tas%2012", lambda task: False),
    ("status=BLOCKED", lambda task: False),
    ("status=DEFERRED", lambda task: False),
    ("watching=true", lambda task: False),
]


async def test_filters_keep_what_fits_and_nothing_else(
    service: JourneyService, anna: Person, project_id: str
) -> None:
    every = await service.items(anna, f"/v1/tasks?projectId={project_id}&sort=createdAt")
    for query, fits in FILTERS:
        path = f"/v1/tasks?projectId={project_id}&sort=createdAt&limit=3&{query}"
        assert await service.items(anna, path) == [task for task in every if fits(task)], query
    assert await service.items(anna, f"/v1/tasks?createdBy={anna.id}&sort=createdAt") == every
    assert await service.items(anna, f"/v1/tasks?createdBy={service.admin.id}") == []


async def test_words_are_found_in_any_case_and_all_of_them(service: JourneyService, anna: Person) -> None:
    for title, description in (
        ("Paint the FENCE", None),
        ("Mend it", "the fence, again"),
        ("Gärten gießen", "snake_case word"),
        ("fences", "painted"),
    ):
        await service.view(anna, "POST", "/v1/tasks", {"title": title, "description": description})

    async def found(words: str) -> set[str]:
        return {task["title"] for task in await service.items(anna, f"/v1/tasks?q={words}&limit=1")}

    assert await found("fence") == {"Paint the FENCE", "Mend it", "fences"}
    assert await found("the%20fence%20paint") == {"Paint the FENCE"}
    assert await found("paint%20the%20fen") == {"Paint the FENCE"}
    assert await found("fenc%20the") == set()
    assert await found("g%C3%84RTEN") == {"Gärten gießen"}
    assert await found("garten%20GIESSEN") == {"Gärten gießen"}
    assert await found("case") == {"Gärten gießen"}
    assert await found("%22fence%22%20-") == {"Paint the FENCE", "Mend it", "fences"}
    assert await found("") == {"Paint the FENCE", "Mend it", "Gärten gießen", "fences"}
    refused = await service.call(anna, "GET", "/v1/tasks?q=%25", expect=400)
    assert pointers(refused) == ["/q"]


async def test_what_is_searched_comes_best_first_page_by_page(service: JourneyService, anna: Person) -> None:
    for title, description in (
        ("Roof", "with new tiles"),
        ("Roof tiles", None),
        ("Garden", "tiles, as on the roof"),
        ("TILES of the ROOF", "blue"),
        ("Roof of the shed", "no bricks"),
    ):
        await service.view(anna, "POST", "/v1/tasks", {"title": title, "description": description})
    expected = ["TILES of the ROOF", "Roof tiles", "Roof", "Garden"]

    for query in ("q=roof%20tiles", "q=tiles%20roof&sort=relevance"):
        for limit in (1, 3, 20):
            found = await service.items(anna, f"/v1/tasks?{query}&limit={limit}")
            assert [task["title"] for task in found] == expected, (query, limit)
    newest_last = await service.items(anna, "/v1/tasks?q=roof%20tiles&sort=createdAt&limit=3")
    assert [task["title"] for task in newest_last] == ["Roof", "Roof tiles", "Garden", "TILES of the ROOF"]
