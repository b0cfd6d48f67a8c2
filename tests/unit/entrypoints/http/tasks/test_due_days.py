"""Days without a time: due dates, what is overdue for whom, and days in filters."""

from typing import Any

import pytest

from tests.unit.entrypoints.http.service import ANNA, Json, Service, pointers
from tests.unit.entrypoints.http.tasks.signing_up import sign_up

DAY = "2026-03-10"


async def titles(service: Service, query: str) -> list[str]:
    answer = await service.call("GET", f"/v1/tasks?{query}")
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def test_a_task_is_due_on_a_day_and_says_so_everywhere(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig", "dueOn": DAY})
    path = f"/v1/tasks/{made['id']}"
    (stored,) = (await service.stored())["tasks"]
    await service.call("PATCH", path, {"dueOn": None})
    diff = (await service.call("GET", f"{path}/diff?from=1&to=2")).json()["changes"]
    back = (await service.call("POST", f"{path}/rollback", {"version": 1})).json()
    audit = (await service.call("GET", f"{path}/audit")).json()["items"]

    assert (made["dueOn"], made["dueAt"]) == (DAY, None)
    assert (stored["dueOn"], stored["dueAt"]) == (DAY, None)
    assert diff["dueOn"] == {"before": DAY, "after": None}
    assert (back["dueOn"], back["dueAt"]) == (DAY, None)
    assert audit[-1]["changes"]["dueOn"] == {"before": None, "after": DAY}
    assert not any("dueBy" in entry["changes"] for entry in audit)


@pytest.mark.parametrize(
    ("before", "patch", "status", "at"),
    [
        ({}, {"dueAt": "2026-03-10T12:00:00Z", "dueOn": DAY}, 422, ["/dueAt", "/dueOn"]),
        ({"dueOn": DAY}, {"dueAt": "2026-03-10T12:00:00Z"}, 422, ["/dueAt"]),
        ({"dueAt": "2026-03-10T12:00:00Z"}, {"dueOn": DAY}, 422, ["/dueOn"]),
        ({"dueAt": "2026-03-10T12:00:00Z"}, {"dueOn": DAY, "dueAt": None}, 200, None),
        ({"dueOn": DAY}, {"dueOn": "2026-03-11"}, 200, None),
        ({}, {"dueAt": DAY}, 400, ["/dueAt"]),
        ({}, {"dueOn": "2026-03-10T12:00:00Z"}, 400, ["/dueOn"]),
        ({}, {"dueOn": "2026-02-30"}, 400, ["/dueOn"]),
    ],
)
async def test_a_task_has_one_of_the_two_due_dates(
    service: Service, before: Json, patch: Json, status: int, at: list[str] | None
) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig", **before})
    stored = await service.stored()

    answer = await service.call("PATCH", f"/v1/tasks/{made['id']}", patch)

    assert answer.status_code == status, answer.text
    if at is None:
        assert {name: answer.json()[name] for name in patch} == patch
    else:
        assert pointers(answer) == at
        assert await service.stored() == stored


@pytest.mark.parametrize("op", [{"op": "create", "title": "Dig"}, None])
async def test_a_day_in_due_at_is_refused_with_the_name_of_the_field_for_days(
    service: Service, op: Json | None
) -> None:
    body: Any = {"title": "Dig", "dueAt": DAY} if op is None else {"operations": [{**op, "dueAt": DAY}]}
    refused = await service.call("POST", "/v1/tasks" if op is None else "/v1/tasks/bulk", body)

    assert refused.status_code == 400
    assert "dueOn" in refused.json()["errors"][0]["message"]


async def test_a_task_is_not_deferred_past_its_day(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig", "dueOn": DAY})
    path = f"/v1/tasks/{made['id']}"

    late = await service.call("POST", f"{path}/defer", {"deferredTill": "2026-03-11T00:00:00Z"})
    in_time = await service.call("POST", f"{path}/defer", {"deferredTill": f"{DAY}T23:59:59.999Z"})
    earlier = await service.call("PATCH", path, {"dueOn": "2026-03-09"})

    assert (late.status_code, pointers(late)) == (422, ["/deferredTill"])
    assert in_time.status_code == 200
    assert (earlier.status_code, pointers(earlier)) == (422, ["/dueOn"])


async def test_days_and_instants_sort_together_and_undated_tasks_come_last(service: Service) -> None:
    for title, due in (
        ("none", {}),
        ("day", {"dueOn": DAY}),
        ("next midnight", {"dueAt": "2026-03-11T00:00:00Z"}),
        ("evening", {"dueAt": f"{DAY}T23:00:00Z"}),
        ("none either", {}),
    ):
        await service.made("/v1/tasks", {"title": title, **due})

    assert await titles(service, "sort=dueAt") == ["evening", "day", "next midnight", "none", "none either"]
    assert await titles(service, "sort=-dueAt") == ["next midnight", "day", "evening", "none either", "none"]
    pages, address = [], "/v1/tasks?sort=dueAt&limit=2"
    while address:
        answer = await service.call("GET", address)
        pages += [item["title"] for item in answer.json()["items"]]
        address = answer.links.get("next", {}).get("url", "")
    assert pages == await titles(service, "sort=dueAt")


async def test_a_day_begins_at_midnight_and_the_next_one_is_excluded(service: Service) -> None:
    await service.made("/v1/tasks", {"title": "midnight", "dueAt": f"{DAY}T00:00:00Z"})
    await service.made("/v1/tasks", {"title": "day", "dueOn": DAY})
    await service.made("/v1/tasks", {"title": "next", "dueAt": "2026-03-11T00:00:00Z"})

    for bounds in (
        f"dueAfter={DAY}&dueBefore=2026-03-11",
        f"dueAfter={DAY}T00:00:00Z&dueBefore=2026-03-11T00:00:00Z",
        f"dueAfter={DAY}&dueBefore=2026-03-11T00:00:00Z",
    ):
        assert sorted(await titles(service, bounds)) == ["day", "midnight"], bounds
    assert await titles(service, "dueAfter=2026-03-11") == ["next"]


@pytest.mark.parametrize(
    ("zone", "late"),
    [
        ("UTC", {"yesterday", "hour ago"}),
        ("Pacific/Kiritimati", {"yesterday", "today in UTC", "hour ago"}),
        ("Pacific/Pago_Pago", {"hour ago"}),
    ],
)
async def test_what_is_overdue_depends_on_the_day_of_the_reader(
    service: Service, zone: str, late: set[str]
) -> None:
    # It is 2026-03-02 in UTC, already the 3rd on Kiritimati; at noon it is still the 2nd in Pago Pago.
    await sign_up(service, ANNA, timezone=zone)
    service.clock.instant = service.clock.instant.replace(hour=10)
    for title, due in (
        ("yesterday", {"dueOn": "2026-03-01"}),
        ("today in UTC", {"dueOn": "2026-03-02"}),
        ("tomorrow", {"dueOn": "2026-03-03"}),
        ("hour ago", {"dueAt": "2026-03-02T09:00:00Z"}),
        ("done", {"dueOn": "2026-01-01", "status": "DONE"}),
        ("undated", {}),
    ):
        await service.made("/v1/tasks", {"title": title, **due})
    everything = set(await titles(service, "limit=200"))

    assert set(await titles(service, "overdue=true")) == late
    assert set(await titles(service, "overdue=false")) == everything - late


async def test_a_plain_day_in_a_filter_begins_in_the_zone_of_the_reader(service: Service) -> None:
    await sign_up(service, ANNA, timezone="Europe/Berlin")
    await service.made("/v1/tasks", {"title": "late on the 9th in UTC", "dueAt": "2026-03-09T23:30:00Z"})
    await service.made("/v1/tasks", {"title": "the day", "dueOn": DAY})

    found = await titles(service, f"dueAfter={DAY}&dueBefore=2026-03-11&sort=createdAt")

    assert found == ["late on the 9th in UTC", "the day"]


@pytest.mark.parametrize(
    "zone",
    [
        "Mars/Olympus",
        "../etc/passwd",
        "europe",
        "Europe/Berlin\n",
        "right/Europe/Berlin",
        "Europe",
        "x" * 65,
        "",
    ],
)
async def test_a_time_zone_that_does_not_exist_is_refused(service: Service, zone: str) -> None:
    path = await sign_up(service, ANNA)
    before = await service.stored()

    refused = await service.call("PATCH", path, {"timezone": zone})

    assert refused.status_code in (400, 422)
    assert pointers(refused) == ["/timezone"]
    assert await service.stored() == before


async def test_a_time_zone_is_kept_and_null_means_utc(service: Service) -> None:
    path = await sign_up(service, ANNA)
    changed = await service.call("PATCH", path, {"timezone": "Asia/Kathmandu"})
    reset = await service.call("PATCH", path, {"timezone": None})

    assert changed.json()["timezone"] == "Asia/Kathmandu"
    assert reset.json()["timezone"] == "UTC"


@pytest.mark.parametrize("name", ["dueAfter", "dueBefore", "updatedAfter"])
@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-13-01T00:00:00Z", "0000-01-01", "tomorrow", "2026-03-10T12:00:00"]
)
async def test_a_time_that_does_not_exist_is_named(service: Service, name: str, text: str) -> None:
    refused = await service.call("GET", f"/v1/tasks?{name}={text}")

    assert (refused.status_code, pointers(refused)) == (400, [f"/{name}"])


async def test_the_time_of_completion_follows_the_status(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})
    path = f"/v1/tasks/{made['id']}"
    done = (await service.call("PATCH", path, {"status": "DONE"})).json()
    renamed = (await service.call("PATCH", path, {"title": "Dig deep"})).json()
    open_again = (await service.call("PATCH", path, {"status": "TODO"})).json()

    assert made["completedAt"] is None
    assert done["completedAt"] == done["updatedAt"] == renamed["completedAt"]
    assert open_again["completedAt"] is None
