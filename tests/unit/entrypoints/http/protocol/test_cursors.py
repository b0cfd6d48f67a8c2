import base64
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.unit.entrypoints.http.service import Service, pointers


async def several(service: Service, count: int = 7) -> list[str]:
    made = [await service.made("/v1/tasks", {"title": f"Task {number}"}) for number in range(count)]
    return [task["id"] for task in made]


@pytest.mark.parametrize("sort", ["createdAt", "-createdAt", "dueAt", "-priority", "updatedAt", "relevance"])
async def test_following_the_links_meets_everything_once(service: Service, sort: str) -> None:
    ids = await several(service)
    path: str | None = f"/v1/tasks?limit=3&sort={sort}&q=task"
    seen: list[str] = []
    pages = 0

    while path is not None:
        answer = await service.call("GET", path)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        seen += [item["id"] for item in body["items"]]
        pages += 1
        link = answer.headers.get("link")
        assert (link is None) == (body["nextCursor"] is None)
        path = None if link is None else link.split(">")[0].lstrip("<")
        if path is not None:
            parameters = dict(parse_qsl(urlsplit(path).query))
            assert parameters == {"limit": "3", "sort": sort, "q": "task", "cursor": body["nextCursor"]}

    assert (sorted(seen), len(seen), pages) == (sorted(ids), 7, 3)


async def test_rows_that_arrive_meanwhile_shift_nothing(service: Service) -> None:
    ids = await several(service, 4)
    first = (await service.call("GET", "/v1/tasks?limit=2")).json()
    await service.made("/v1/tasks", {"title": "Newcomer"})

    second = (await service.call("GET", f"/v1/tasks?limit=2&cursor={first['nextCursor']}")).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["nextCursor"] is None


async def test_a_total_is_counted_only_where_it_is_asked_for(service: Service) -> None:
    await several(service, 3)

    assert (await service.call("GET", "/v1/tasks?limit=1&count=exact")).json()["total"] == 3
    assert "total" not in (await service.call("GET", "/v1/tasks?limit=1")).json()


async def test_the_default_page_has_twenty_items(service: Service) -> None:
    await several(service, 21)

    assert len((await service.call("GET", "/v1/tasks")).json()["items"]) == 20


async def test_a_cursor_serves_its_own_list_only(service: Service) -> None:
    await several(service, 3)
    await service.made("/v1/labels", {"name": "a"})
    cursor = (await service.call("GET", "/v1/tasks?limit=1")).json()["nextCursor"]

    for path in ("/v1/tasks?sort=dueAt", "/v1/tasks?status=TODO", "/v1/tasks/trash?", "/v1/labels?"):
        refused = await service.call("GET", f"{path}&cursor={cursor}")
        assert (refused.status_code, pointers(refused)) == (400, ["/cursor"]), path


async def test_a_cursor_outlives_the_process_and_a_change_of_limit(service: Service) -> None:
    ids = await several(service, 3)
    cursor = (await service.call("GET", "/v1/tasks?limit=1")).json()["nextCursor"]

    rest = await Service(service.store).call("GET", f"/v1/tasks?limit=50&cursor={cursor}&count=exact")

    assert [item["id"] for item in rest.json()["items"]] == ids[1::-1]


async def test_any_change_of_a_cursor_is_noticed(service: Service) -> None:
    await several(service, 2)
    cursor = (await service.call("GET", "/v1/tasks?limit=1")).json()["nextCursor"]
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    forged = [
        base64.urlsafe_b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]) for at in range(len(raw))
    ]
    # The decoder by itself would skip what is outside its alphabet.
    respelt = [f"{cursor[:5]}!!{cursor[5:]}", f"{cursor[:5]}.{cursor[5:]}", f"{cursor}%0A", f"{cursor}="]
    strange = [*respelt, "", "x", "%00", "!!!!", "A" * 4_096, "A" * 4_097, "%C3%BC"]

    for text in [*(each.decode() for each in forged), *strange]:
        refused = await service.call("GET", f"/v1/tasks?limit=1&cursor={text}")
        assert (refused.status_code, pointers(refused)) == (400, ["/cursor"]), text
