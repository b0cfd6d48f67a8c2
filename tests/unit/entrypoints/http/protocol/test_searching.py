import pytest

from application.paging import Position
from entrypoints.http.protocol.cursors import Cursors
from entrypoints.http.tasks.queries import TaskQuery
from tests.unit.builders import NOON
from tests.unit.entrypoints.http.service import Service, pointers

NAMED = {"projects": "name", "tasks": "title", "teams": "name"}


async def found(service: Service, path: str, field: str) -> list[str]:
    """What a list shows of a field, page by page."""
    shown: list[str] = []
    address: str | None = path
    while address is not None and len(shown) < 100:
        answer = await service.call("GET", address)
        assert answer.status_code == 200, answer.text
        shown += [item[field] for item in answer.json()["items"]]
        address = answer.links.get("next", {}).get("url")
    return shown


@pytest.mark.parametrize("query", ["q=roof+tiles", "q=ROOF,+tiles!&sort=relevance"])
@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize("collection", NAMED)
async def test_a_search_has_the_best_first_and_then_the_newest(
    service: Service, collection: str, limit: int, query: str
) -> None:
    field = NAMED[collection]
    for name, description in (
        ("Roof", "tiles"),
        ("Roof tiles", None),
        ("Garden", "roof and tiles"),
        ("Tiles", "of a roof"),
        ("The tiles of the roof", None),
        ("Tiles of the bath", None),
    ):
        await service.made(f"/v1/{collection}", {field: name, "description": description})

    names = await found(service, f"/v1/{collection}?{query}&limit={limit}", field)

    assert names == ["The tiles of the roof", "Roof tiles", "Tiles", "Roof", "Garden"]


async def test_found_labels_come_newest_first_and_others_by_name(service: Service) -> None:
    for name in ("b urgent", "a urgent", "c urgent", "calm"):
        await service.made("/v1/labels", {"name": name})

    for query in ("q=urgent", "q=urgent&sort=relevance"):
        assert await found(service, f"/v1/labels?{query}&limit=1", "name") == [
            "c urgent",
            "a urgent",
            "b urgent",
        ]
    for query in ("", "q=", "q=%20", "q=+%09"):
        assert await found(service, f"/v1/labels?{query}", "name") == [
            "a urgent",
            "b urgent",
            "c urgent",
            "calm",
        ]


async def test_an_order_that_is_asked_for_goes_before_relevance(service: Service) -> None:
    for name in ("Roof", "Garden with a roof", "A roof"):
        await service.made("/v1/projects", {"name": name})

    assert await found(service, "/v1/projects?q=roof&sort=name&limit=2", "name") == [
        "A roof",
        "Garden with a roof",
        "Roof",
    ]


async def test_a_search_without_a_word_is_explained(service: Service) -> None:
    refused = await service.call("GET", "/v1/projects?q=**")

    assert refused.json()["errors"] == [
        {"pointer": "/q", "message": "contains no word to search for; a word consists of letters and digits"}
    ]


@pytest.mark.parametrize("text", ["%C3%84", "%E6%97%A5", "7", "%2B7%2B", "%D9%A1", "x%C2%B2"])
async def test_letters_and_digits_of_every_script_are_words(service: Service, text: str) -> None:
    assert (await service.call("GET", f"/v1/tasks?q={text}")).status_code == 200
    assert (await service.call("GET", f"/v1/users?search={text}")).status_code == 200


async def test_a_cursor_from_the_time_when_a_search_had_the_newest_first_is_refused(service: Service) -> None:
    former = Position(NOON, "a" * 24)
    scope = {"path": "/v1/tasks", "query_string": b"q=roof"}
    cursor = Cursors(service.parts.tokens.derived_secret("cursor")).issue(scope, former)

    refused = await service.call("GET", f"/v1/tasks?q=roof&cursor={cursor}")

    assert (refused.status_code, pointers(refused)) == (400, ["/cursor"])


@pytest.mark.parametrize(
    ("query", "order"),
    [
        (TaskQuery(), "-createdAt"),
        (TaskQuery(q=""), "-createdAt"),
        (TaskQuery(q="roof"), "relevance"),
        (TaskQuery(q="roof", sort="dueAt"), "dueAt"),
    ],
)
def test_words_are_ranked_unless_another_order_is_asked_for(query: TaskQuery, order: str) -> None:
    assert query.order == order


@pytest.mark.parametrize("title", ["\u200b", "\u3164", "\u2800", " \t", "a\u202eb", "a\nb"])
async def test_a_task_needs_a_visible_title_on_one_line(service: Service, title: str) -> None:
    answer = await service.call("POST", "/v1/tasks", {"title": title})
    assert (answer.status_code, pointers(answer)) == (422, ["/title"])
    assert (await service.call("GET", "/v1/tasks")).json()["items"] == []


async def test_label_names_are_taken_in_every_case(service: Service) -> None:
    await service.made("/v1/labels", {"name": "Bug"})
    answer = await service.call("POST", "/v1/labels", {"name": "bug"})
    assert (answer.status_code, pointers(answer)) == (409, ["/name"])


async def test_a_display_number_is_found_first(service: Service) -> None:
    made = [await service.made("/v1/tasks", {"title": title}) for title in ("Step 3", "Step 2", "Step 1")]
    wanted = made[1]["displayId"]
    titles = await found(service, f"/v1/tasks?q=%23{wanted.removeprefix('#')}", "title")
    assert titles[0] == "Step 2"


@pytest.mark.parametrize("collection", [*NAMED, "labels"])
async def test_every_list_is_searched_by_the_same_rule(service: Service, collection: str) -> None:
    field = NAMED.get(collection, "name")
    for name in ("準備搬家了", "Größe", "Café", "Cafe", "Pricing"):
        await service.made(f"/v1/{collection}", {field: name})
    for query, names in (
        ("搬家", ["準備搬家了"]),
        ("GROSSE", ["Größe"]),
        ("cafe", ["Cafe", "Café"]),
        ("cafe\u0301", ["Café", "Cafe"]),
        ("pric", ["Pricing"]),
    ):
        assert await found(service, f"/v1/{collection}?q={query}", field) == names
