"""Watchlists, deferral and team tasks as several people see them, the same in every store mode."""

import pytest

from tests.integration.journeys.service import JourneyService, Person
from tests.unit.entrypoints.http.service import Json

pytestmark = pytest.mark.asyncio(loop_scope="session")

TASKS = 7
LATER = "2099-01-01T00:00:00.000Z"


async def shared_project(service: JourneyService, owner: Person, member: Person) -> tuple[str, list[str]]:
    """A team of two, and its project's tasks, oldest first: (team id, task ids)."""
    team = await service.view(owner, "POST", "/v1/teams", {"name": "Gardeners"})
    await service.view(owner, "POST", f"/v1/teams/{team['id']}/members", {"userIds": [member.id]})
    body = {"name": "Garden", "teamId": team["id"]}
    project = await service.view(owner, "POST", "/v1/projects", body)
    tasks = [
        await service.view(owner, "POST", "/v1/tasks", {"title": f"Bed {number}", "projectId": project["id"]})
        for number in range(TASKS)
    ]
    return str(team["id"]), [task["id"] for task in tasks]


async def watched(service: JourneyService, person: Person) -> list[str]:
    return [item["id"] for item in await service.items(person, "/v1/watchlist?limit=2")]


async def require_as_listed(service: JourneyService, person: Person) -> None:
    """The watchlist holds the same tasks as the list of watched tasks: full pages, the same total, nothing else."""
    pages = await service.pages(person, "/v1/watchlist?limit=2&count=exact")
    listed = await service.view(person, "GET", "/v1/tasks?watching=true&count=exact")
    total = (await service.view(person, "GET", "/v1/watchlist?limit=1&count=exact"))["total"]
    assert sorted(item["id"] for page in pages for item in page) == sorted(
        item["id"] for item in listed["items"]
    )
    assert total == listed["total"] == sum(map(len, pages))
    assert len(pages) == max(1, -(-total // 2))


async def found(service: JourneyService, person: Person, query: str) -> list[str]:
    return [item["id"] for item in await service.items(person, f"/v1/tasks?limit=3&sort=displayId&{query}")]


async def test_a_watchlist_holds_what_is_watched_the_latest_first(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    _, tasks = await shared_project(service, anna, ben)
    for task_id in tasks[:5]:
        await service.call(ben, "PUT", f"/v1/watchlist/{task_id}", expect=200)
        await service.call(ben, "PUT", f"/v1/watchlist/{task_id}", expect=200)
    for _ in range(2):
        await service.call(ben, "DELETE", f"/v1/watchlist/{tasks[2]}", expect=204)
    await service.call(anna, "DELETE", f"/v1/tasks/{tasks[3]}", expect=204)

    assert await watched(service, ben) == [tasks[4], tasks[1], tasks[0]]
    assert await watched(service, anna) == []
    await require_as_listed(service, ben)
    await require_as_listed(service, anna)
    assert await found(service, ben, "watching=true") == [tasks[0], tasks[1], tasks[4]]
    marked = {item["id"]: item["inWatchlist"] for item in await service.items(ben, "/v1/tasks?limit=4")}
    assert {id_ for id_, is_watched in marked.items() if is_watched} == {tasks[0], tasks[1], tasks[4]}
    await service.call(ben, "PUT", f"/v1/watchlist/{tasks[2]}", expect=200)
    await service.view(anna, "POST", f"/v1/tasks/{tasks[3]}/restore")
    assert await watched(service, ben) == [tasks[2], tasks[4], tasks[3], tasks[1], tasks[0]]
    await service.require_sound()


async def test_who_leaves_a_team_sees_nothing_of_it_and_may_still_give_up_watching(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    team_id, tasks = await shared_project(service, anna, ben)
    for task_id in tasks[:2]:
        await service.call(ben, "PUT", f"/v1/watchlist/{task_id}", expect=200)
    await service.call(ben, "DELETE", f"/v1/teams/{team_id}/members/{ben.id}", expect=204)

    assert await watched(service, ben) == []
    await require_as_listed(service, ben)
    assert await found(service, ben, "watching=true") == await found(service, ben, f"teamId={team_id}") == []
    await service.call(ben, "GET", f"/v1/tasks/{tasks[0]}", expect=404)
    await service.call(ben, "PUT", f"/v1/watchlist/{tasks[2]}", expect=404)
    await service.call(ben, "DELETE", f"/v1/watchlist/{tasks[2]}", expect=404)
    await service.call(ben, "DELETE", f"/v1/watchlist/{tasks[0]}", expect=204)
    await service.view(anna, "POST", f"/v1/teams/{team_id}/members", {"userIds": [ben.id]})
    assert await watched(service, ben) == [tasks[1]]
    await service.require_sound()


async def test_tasks_are_found_by_team_by_assignee_and_while_they_are_put_off(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    team_id, tasks = await shared_project(service, anna, ben)
    to_team = {"assigneeId": team_id, "assigneeType": "TEAM"}
    await service.view(anna, "POST", f"/v1/tasks/{tasks[0]}/assign", to_team)
    to_ben = {"assigneeId": ben.id, "assigneeType": "USER"}
    await service.view(anna, "POST", f"/v1/tasks/{tasks[1]}/assign", to_ben)
    await service.view(anna, "POST", f"/v1/tasks/{tasks[2]}/defer", {"deferredTill": LATER})

    assert await found(service, ben, f"teamId={team_id}") == tasks
    assert await found(service, ben, f"assigneeId={team_id}") == [tasks[0]]
    assert await found(service, ben, f"assigneeId={ben.id}") == [tasks[1]]
    assert await found(service, ben, "status=DEFERRED") == [tasks[2]]
    assert await found(service, ben, "status=TODO") == [*tasks[:2], *tasks[3:]]
    full: list[Json] = await service.items(ben, "/v1/tasks?limit=3&sort=displayId&expand=assignee,labels")
    assert [item["assignee"] and item["assignee"]["name"] for item in full[:3]] == [
        "Gardeners",
        ben.email.partition("@")[0],
        None,
    ]
    assert [item["status"] for item in full[:3]] == ["TODO", "TODO", "DEFERRED"]
    assert all(item["labels"] == [] for item in full)


async def test_people_are_found_by_name_or_whole_address_and_keep_both_to_themselves(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    await service.view(ben, "PATCH", f"/v1/users/{ben.id}", {"name": f"Ben {ben.id}"})

    for search in (ben.id, ben.id[:-1], f"{ben.id}%20BEN", ben.email, ben.email.upper()):
        (seen,) = await service.items(anna, f"/v1/users?search={search}")
        assert (seen["id"], seen["email"], seen["grants"]) == (ben.id, None, None), search
    for search in (ben.email.partition("@")[0], ben.id[1:], f"@{ben.email.partition('@')[2]}"):
        assert await service.items(anna, f"/v1/users?search={search}") == [], search
    assert (await service.view(ben, "GET", "/v1/users/me"))["email"] == ben.email
    assert (await service.view(service.admin, "GET", f"/v1/users/{ben.id}"))["email"] == ben.email
