"""One Idempotency-Key, sent to two processes at the same moment: one does it, and everybody is told the same."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Final

import httpx
import pytest

from tests.integration.crash.figures import note_figures
from tests.integration.crash.keyed_requests import Asked, Json, clients_of, entries_written, is_replayed
from tests.integration.crash.shared_stores import services_on

ARRANGEMENTS: Final = (
    "postgres",
    "mongo-to-postgres",
    pytest.param("mongo", marks=pytest.mark.torture),
)
"""Those whose stores several processes share."""
PROCESSES: Final = 2
TWINS: Final = 4
"""How often each request is sent at once, in turns to each process."""
ROUNDS, ROUNDS_LONG = 1, 30
LATER = "2099-01-01T00:00:00.000Z"


async def _made(client: httpx.AsyncClient, path: str, body: Json) -> Json:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def _requests(client: httpx.AsyncClient) -> dict[str, Asked]:
    """One request of each kind, each about things of its own, so that a second effect of it would show."""
    name = secrets.token_hex(6)
    me = (await client.get("/v1/users/me")).json()["id"]
    plain, tagged, listed, deferred, given, bundled, doomed, trashed, lost, rolled = [
        (await _made(client, "/v1/tasks", {"title": f"{name} {number}"}))["id"] for number in range(10)
    ]
    for task_id in (trashed, lost):
        assert (await client.delete(f"/v1/tasks/{task_id}")).status_code == 204
    changed = await client.patch(f"/v1/tasks/{rolled}", json={"title": f"{name} changed"})
    assert changed.status_code == 200, changed.text
    given_to_me = {"taskId": given, "assigneeId": me, "assigneeType": "USER"}
    operations = [
        {"op": "create", "title": f"{name} together"},
        {"op": "update", "id": bundled, "title": f"{name} bundled"},
        {"op": "delete", "id": doomed},
    ]
    retitled = {"title": f"{name} retitled"}
    return {
        "create": Asked("POST", "/v1/tasks", {"title": f"{name} new"}),
        "create what is unique": Asked("POST", "/v1/labels", {"name": name}),
        "create with a part": Asked("POST", "/v1/teams", {"name": name}, entries=2),
        "change": Asked("PATCH", f"/v1/tasks/{plain}", retitled),
        "change a version": Asked("PATCH", f"/v1/tasks/{tagged}", retitled, '"1"'),
        "change one of several versions": Asked("PATCH", f"/v1/tasks/{listed}", retitled, '"1", "9"'),
        "defer": Asked("POST", f"/v1/tasks/{deferred}/defer", {"deferredTill": LATER}, '"1"'),
        "assign": Asked("POST", "/v1/task-assignments", given_to_me, entries=2),
        "restore": Asked("POST", f"/v1/tasks/{trashed}/restore"),
        "restore a version": Asked("POST", f"/v1/tasks/{lost}/restore", None, '"2"'),
        "roll back": Asked("POST", f"/v1/tasks/{rolled}/rollback", {"version": 1}),
        "many together": Asked("POST", "/v1/tasks/bulk", {"operations": operations}, entries=3),
    }


async def _raced(clients: Sequence[httpx.AsyncClient], asked: Asked, outcomes: Counter[str]) -> None:
    key = secrets.token_hex(8)
    answers = await asyncio.gather(
        *(asked.sent(clients[number % len(clients)], key) for number in range(TWINS))
    )
    told = [f"{answer.status_code} {answer.text}" for answer in answers]
    good = [answer for answer in answers if answer.is_success]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(good) + len(waiting) == TWINS, told
    assert {answer.json()["code"] for answer in waiting} <= {"answer_pending"}, told
    outcomes.update(_outcome(answer) for answer in answers)
    for client in clients:
        good.append(await asked.sent(client, key))
        assert is_replayed(good[-1]), good[-1].text
    assert len({answer.content for answer in good}) == 1, told


def _outcome(answer: httpx.Response) -> str:
    if answer.status_code == 409:
        return "told to wait"
    return "told again" if is_replayed(answer) else "done"


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(ROUNDS_LONG, marks=pytest.mark.torture)])
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
async def test_a_request_that_two_processes_get_at_once_is_carried_out_once(
    arrangement: str, rounds: int, request: pytest.FixtureRequest
) -> None:
    outcomes: Counter[str] = Counter()
    with services_on(arrangement, request, processes=PROCESSES) as services:
        for _ in range(rounds):
            # Signed in anew each time: a long run outlives a token.
            async with clients_of(services) as clients:
                for kind, asked in (await _requests(clients[0])).items():
                    before = await entries_written(clients[0])
                    await _raced(clients, asked, outcomes)
                    assert await entries_written(clients[0]) - before == asked.entries, kind
    assert outcomes["done"], "nothing was carried out, so nothing is proven"
    note_figures(f"one key in {PROCESSES} processes ({arrangement})", rounds=rounds, answers=dict(outcomes))
