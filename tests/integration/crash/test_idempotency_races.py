"""One Idempotency-Key sent to two processes at the same time: it is carried out once, and all answers are the same."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Final

import httpx
import pytest

from tests.integration.crash.keyed_requests import (
    Json,
    KeyedRequest,
    clients_of,
    entries_written,
    is_replayed,
)
from tests.integration.crash.shared_stores import services_on
from tests.servers.report import note_figures

TOPOLOGIES: Final = (
    "postgres",
    "mongo-to-postgres",
    pytest.param("mongo", marks=pytest.mark.torture),
)
"""The topologies whose stores several processes can share."""
PROCESSES: Final = 2
COPIES: Final = 4
"""Each request is sent this often at the same time, to the processes in turn."""
ROUNDS, ROUNDS_LONG = 1, 30
LATER = "2099-01-01T00:00:00.000Z"


async def _made(client: httpx.AsyncClient, path: str, body: Json) -> Json:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def _requests(client: httpx.AsyncClient) -> dict[str, KeyedRequest]:
    """One request of each kind, each about records of its own, so that a second effect would show."""
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
        "create": KeyedRequest("POST", "/v1/tasks", {"title": f"{name} new"}),
        "create what is unique": KeyedRequest("POST", "/v1/labels", {"name": name}),
        "create with a part": KeyedRequest("POST", "/v1/teams", {"name": name}, entries=2),
        "change": KeyedRequest("PATCH", f"/v1/tasks/{plain}", retitled),
        "change a version": KeyedRequest("PATCH", f"/v1/tasks/{tagged}", retitled, '"1"'),
        "change one of several versions": KeyedRequest("PATCH", f"/v1/tasks/{listed}", retitled, '"1", "9"'),
        "defer": KeyedRequest("POST", f"/v1/tasks/{deferred}/defer", {"deferredTill": LATER}, '"1"'),
        "assign": KeyedRequest("POST", "/v1/task-assignments", given_to_me, entries=2),
        "restore": KeyedRequest("POST", f"/v1/tasks/{trashed}/restore"),
        "restore a version": KeyedRequest("POST", f"/v1/tasks/{lost}/restore", None, '"2"'),
        "roll back": KeyedRequest("POST", f"/v1/tasks/{rolled}/rollback", {"version": 1}),
        "many together": KeyedRequest("POST", "/v1/tasks/bulk", {"operations": operations}, entries=3),
    }


async def _raced(clients: Sequence[httpx.AsyncClient], keyed: KeyedRequest, outcomes: Counter[str]) -> None:
    key = secrets.token_hex(8)
    answers = await asyncio.gather(
        *(keyed.send(clients[number % len(clients)], key) for number in range(COPIES))
    )
    seen = [f"{answer.status_code} {answer.text}" for answer in answers]
    good = [answer for answer in answers if answer.is_success]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(good) + len(waiting) == COPIES, seen
    assert {answer.json()["code"] for answer in waiting} <= {"answer_pending"}, seen
    outcomes.update(_outcome(answer) for answer in answers)
    for client in clients:
        good.append(await keyed.send(client, key))
        assert is_replayed(good[-1]), good[-1].text
    assert len({answer.content for answer in good}) == 1, seen


def _outcome(answer: httpx.Response) -> str:
    if answer.status_code == 409:
        return "pending"
    return "replayed" if is_replayed(answer) else "carried out"


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(ROUNDS_LONG, marks=pytest.mark.torture)])
@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_a_request_sent_to_two_processes_at_once_is_carried_out_once(
    topology: str, rounds: int, request: pytest.FixtureRequest
) -> None:
    outcomes: Counter[str] = Counter()
    with services_on(topology, request, processes=PROCESSES) as services:
        for _ in range(rounds):
            # Signed in anew each time: a long run outlives a token.
            async with clients_of(services) as clients:
                for kind, keyed in (await _requests(clients[0])).items():
                    before = await entries_written(clients[0])
                    await _raced(clients, keyed, outcomes)
                    assert await entries_written(clients[0]) - before == keyed.entries, kind
    assert outcomes["carried out"], "nothing was carried out, so nothing is proven"
    note_figures(f"one key in {PROCESSES} processes ({topology})", rounds=rounds, answers=dict(outcomes))
