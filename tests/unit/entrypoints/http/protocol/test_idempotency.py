import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from adapters.records.change_set import ChangeSet
from adapters.records.criteria import Question
from adapters.records.record import Record
from domain.errors import StoreUnavailable
from tests.unit.entrypoints.http.openapi_copy import COPY
from tests.unit.entrypoints.http.service import ADMIN, BEN, Service, pointers
from tests.unit.memory_store import MemoryRecordStore

KEY = "key-1"


async def test_the_same_request_again_is_answered_again_and_not_repeated(service: Service) -> None:
    first = await service.call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)
    before = await service.stored()

    again = await service.call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["etag"] == first.headers["etag"]
    assert await service.stored() == before


async def test_a_replay_shows_what_was_made_then_not_what_is_now(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)
    await service.call("PATCH", f"/v1/tasks/{made['id']}", {"title": "Weed"})

    again = await service.call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)

    assert again.json() == made


async def test_a_replayed_patch_does_not_undo_what_came_later(service: Service) -> None:
    made = await service.made("/v1/labels", {"name": "a"})
    path = f"/v1/labels/{made['id']}"
    first = await service.call("PATCH", path, {"name": "b"}, Idempotency_Key=KEY, If_Match='"1"')
    await service.call("PATCH", path, {"name": "c"})

    again = await service.call("PATCH", path, {"name": "b"}, Idempotency_Key=KEY, If_Match='"1"')

    assert (again.status_code, again.content) == (200, first.content)
    assert (await service.call("GET", path)).json()["name"] == "c"


@pytest.mark.parametrize("action", ["restore", "rollback"])
async def test_actions_are_replayed_too(service: Service, action: str) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{made['id']}"
    await service.call("PATCH", path, {"name": "Park"})
    if action == "restore":
        await service.call("DELETE", path)
    body = {"version": 1} if action == "rollback" else None

    first = await service.call("POST", f"{path}/{action}", body, Idempotency_Key=KEY)
    before = await service.stored()
    again = await service.call("POST", f"{path}/{action}", body, Idempotency_Key=KEY)

    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert await service.stored() == before


async def test_a_key_stands_for_one_body(service: Service) -> None:
    await service.made("/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)
    before = await service.stored()

    refused = await service.call("POST", "/v1/tasks", {"title": "Weed"}, Idempotency_Key=KEY)

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await service.stored() == before


async def test_keys_of_other_callers_and_operations_are_other_keys(service: Service) -> None:
    mine = await service.made("/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)
    theirs = await service.made("/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY, by=BEN)
    label = await service.call("POST", "/v1/labels", {"name": "Dig"}, Idempotency_Key=KEY)

    assert mine["id"] != theirs["id"]
    assert (label.status_code, "idempotency-replayed" in label.headers) == (201, False)


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ü"])
async def test_malformed_keys_are_refused(service: Service, key: str) -> None:
    headers = {**service.headers(), "Idempotency-Key": key.encode("latin-1")}

    refused = await service.client.post("/v1/tasks", json={"title": "Dig"}, headers=headers)  # type: ignore[arg-type]

    assert (refused.status_code, pointers(refused)) == (400, ["/Idempotency-Key"])
    assert (await service.stored())["tasks"] == []


def keyless() -> list[tuple[str, str]]:
    """Method and path of what hears no key though its method may need one, as the document says."""
    paths = json.loads(COPY.read_text("utf-8"))["paths"]
    return [
        (method.upper(), path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method in ("post", "patch")
        and "Idempotency-Key" not in [one["name"] for one in operation["parameters"]]
    ]


@pytest.mark.parametrize(("method", "path"), keyless())
async def test_a_key_that_would_not_be_heard_is_refused(service: Service, method: str, path: str) -> None:
    team = await service.made("/v1/teams", {"name": "Gardeners"})
    await service.give_account(ADMIN, "admin")
    before = await service.stored()
    address = path.replace("{id}", team["id"]).replace("{collection}", "tasks")

    refused = await service.call(method, address, {}, by=ADMIN, Idempotency_Key="k1")
    both = await service.call(method, address, {}, by=ADMIN, Idempotency_Key="k1", If_Match="*")

    assert (refused.status_code, pointers(refused)) == (400, ["/Idempotency-Key"]), refused.text
    assert (both.status_code, pointers(both)) == (400, ["/If-Match", "/Idempotency-Key"]), both.text
    assert await service.stored() == before


@pytest.mark.parametrize(("method", "path"), [each for each in keyless() if "/auth/" not in each[1]])
async def test_a_stranger_is_asked_to_sign_in_before_his_key_is_looked_at(
    service: Service, method: str, path: str
) -> None:
    address = path.replace("{id}", "a" * 24).replace("{collection}", "tasks")

    refused = await service.client.request(method, address, json={}, headers={"Idempotency-Key": "k1"})

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated"), refused.text


async def test_what_may_be_repeated_anyway_takes_a_key_and_needs_none(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})

    for _ in range(2):
        watched = await service.call("PUT", f"/v1/watchlist/{task['id']}", Idempotency_Key="k1")
        assert watched.status_code == 200
    assert len((await service.stored())["watchlists"]) == 1
    assert (await service.call("DELETE", f"/v1/tasks/{task['id']}", Idempotency_Key="k1")).status_code == 204


async def test_a_refused_request_may_be_sent_again_with_its_key(service: Service) -> None:
    taken = await service.made("/v1/labels", {"name": "urgent"})
    refused = await service.call("POST", "/v1/labels", {"name": "urgent"}, Idempotency_Key=KEY)
    await service.call("DELETE", f"/v1/labels/{taken['id']}")

    again = await service.call("POST", "/v1/labels", {"name": "urgent"}, Idempotency_Key=KEY)

    assert (refused.status_code, again.status_code) == (409, 201)


class GatedStore(MemoryRecordStore):
    """What tasks are written with waits at a gate, and may lose its answer; control records pass."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()
        self.is_answer_lost = False

    async def commit(self, change_set: ChangeSet) -> None:
        if change_set.entries:
            self.waiting.set()
            await self.gate.wait()
        await super().commit(change_set)
        if change_set.entries and self.is_answer_lost:
            raise StoreUnavailable


async def test_while_the_first_request_runs_the_second_is_told_to_wait() -> None:
    store = GatedStore()
    service = Service(store)

    first = asyncio.create_task(service.call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY))
    await asyncio.wait_for(store.waiting.wait(), 5)
    second = await service.call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)
    store.gate.set()

    assert (second.status_code, second.json()["code"]) == (409, "answer_pending")
    assert (await first).status_code == 201
    third = await service.call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)
    assert third.headers["idempotency-replayed"] == "true"
    assert len((await service.stored())["tasks"]) == 1


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/tasks", {"title": "Dig"}), ("/v1/labels", {"name": "urgent"})]
)
async def test_of_two_processes_with_one_key_one_writes_and_both_answer_the_same(
    path: str, body: Any
) -> None:
    store = GatedStore()
    one, other = Service(store), Service(store)

    racing = [
        asyncio.create_task(each.call("POST", path, body, Idempotency_Key=KEY)) for each in (one, other)
    ]
    await asyncio.wait_for(store.waiting.wait(), 5)
    await asyncio.sleep(0)
    store.gate.set()
    answers: Sequence[Any] = await asyncio.gather(*racing)

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert len((await one.stored())["audit_logs"]) == 1


class OvertakenStore(MemoryRecordStore):
    """Whoever looks an answer up first learns that there is none, and somebody else is faster after that."""

    def __init__(self) -> None:
        super().__init__()
        self.overtake: Callable[[], Awaitable[Any]] | None = None

    async def find(self, question: Question) -> list[Record]:
        found = await super().find(question)
        if self.overtake is not None and "idempotencyKey" in repr(question.where):
            overtake, self.overtake = self.overtake, None
            await overtake()
        return found


@pytest.mark.parametrize("kind", ["tags", "deletion", "restore"])
async def test_who_is_overtaken_by_the_same_request_is_told_its_answer_and_no_refusal(kind: str) -> None:
    store = OvertakenStore()
    one, other = Service(store), Service(store)
    task = await one.made("/v1/tasks", {"title": "Dig"})
    path = f"/v1/tasks/{task['id']}"
    if kind == "restore":
        await one.call("DELETE", path)
    deletion = {"operations": [{"op": "create", "title": "Weed"}, {"op": "delete", "id": task["id"]}]}
    asked: tuple[str, str, Any, dict[str, str]] = {
        "tags": ("PATCH", path, {"title": "Weed"}, {"If_Match": '"1", "7"'}),
        "deletion": ("POST", "/v1/tasks/bulk", deletion, {}),
        "restore": ("POST", f"{path}/restore", None, {}),
    }[kind]
    *request, conditions = asked
    faster: list[Any] = []

    async def overtake() -> None:
        faster.append(await other.call(*request, Idempotency_Key=KEY, **conditions))

    store.overtake = overtake
    answer = await one.call(*request, Idempotency_Key=KEY, **conditions)

    assert (faster[0].status_code, answer.status_code) == (200, 200)
    assert "idempotency-replayed" not in faster[0].headers
    assert answer.headers["idempotency-replayed"] == "true"
    assert answer.content == faster[0].content


async def test_a_write_whose_answer_was_lost_is_found_again() -> None:
    store = GatedStore()
    store.gate.set()
    service = Service(store)
    store.is_answer_lost = True
    lost = await service.call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)
    store.is_answer_lost = False

    found = await Service(store).call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key=KEY)

    assert (lost.status_code, lost.json()["code"], lost.headers["retry-after"]) == (
        503,
        "store_unavailable",
        "1",
    )
    assert (found.status_code, found.headers["idempotency-replayed"]) == (201, "true")
    assert len((await service.stored())["tasks"]) == 1
