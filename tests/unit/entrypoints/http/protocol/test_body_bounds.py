"""Bodies made to cost much: the answer stays short, names few violations, and one that is too long is not looked at."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from msgspec import Struct

from domain.errors import VIOLATIONS_MAX, Violation
from entrypoints.http.projects.schemas import TimelineBody, TimelinePatch
from entrypoints.http.protocol.input_errors import invalid, violations_against
from entrypoints.http.protocol.request import BODY_BYTES_MAX
from entrypoints.http.tasks.bulk_input import BulkBody
from entrypoints.http.tasks.schemas import TaskBody
from tests.unit.entrypoints.http.service import Json, Service, pointers

ANSWER_BYTES_MAX = 48 * 1024
MEMORY_BYTES_MAX = 64 * 1024 * 1024
"""Many times the body, and a small part of what it would take to repeat a long name for each element."""
SECONDS_MAX = 30.0
BULK = "/v1/tasks/bulk"
NUL = '"\\u0000"'


def repeated(element: str, *, name: str = "more", more: str = '"title": "x"') -> bytes:
    """An object with a list of so many of these elements that it barely is no body too large."""
    start, end = f'{{{more}, "{name}": [', "]}"
    count = (BODY_BYTES_MAX - len(start) - len(end) + 1) // (len(element) + 1)
    return f"{start}{','.join([element] * count)}{end}".encode()


COSTLY: list[tuple[str, str, bytes, int]] = [
    ("a long name above many violations", "/v1/tasks", repeated(NUL, name="k" * 400_000), VIOLATIONS_MAX),
    (
        "a long name of control characters",
        "/v1/tasks",
        repeated("1e999", name="\\u0001" * 80_000),
        VIOLATIONS_MAX,
    ),
    ("many violations", "/v1/tasks", repeated(NUL), VIOLATIONS_MAX),
    ("many empty lists", "/v1/tasks", repeated("[]"), 1),
    ("many lists", "/v1/tasks", repeated("[0]"), 1),
    ("many doubled keys", "/v1/tasks", repeated('{"a":1,"a":1}'), VIOLATIONS_MAX),
    ("a long list of bad ids", "/v1/tasks", repeated("1", name="labelIds"), 1),
    ("a long list of ids", "/v1/tasks", repeated(f'"{"a" * 24}"', name="labelIds"), 1),
    ("a long list of operations", BULK, repeated("1", name="operations", more='"atomic": true'), 1),
    ("a thousand bad operations", BULK, json.dumps({"operations": [{}] * 1_000}).encode(), VIOLATIONS_MAX),
    (
        "many unknown fields",
        "/v1/tasks",
        json.dumps({"title": "x", **{f"field{number}": 1 for number in range(50_000)}}).encode(),
        VIOLATIONS_MAX,
    ),
]


@pytest.mark.parametrize(
    ("path", "raw", "count"), [row[1:] for row in COSTLY], ids=[row[0] for row in COSTLY]
)
async def test_a_costly_body_gets_a_short_answer(service: Service, path: str, raw: bytes, count: int) -> None:
    before = await service.stored()
    started = time.monotonic()

    refused = await service.call("POST", path, raw=raw)

    seconds = time.monotonic() - started
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    assert 1 <= len(pointers(refused)) <= count
    assert len(refused.content) <= ANSWER_BYTES_MAX
    assert seconds <= SECONDS_MAX
    assert await service.stored() == before


async def test_a_key_that_is_given_twice_below_the_top_level_is_named_with_its_place(
    service: Service,
) -> None:
    link = f'{{"kind": "BLOCKS", "taskId": "{"a" * 24}", "kind": "RELATES"}}'
    refused = await service.call("POST", "/v1/tasks", raw=f'{{"title": "x", "links": [{link}]}}'.encode())
    assert (refused.status_code, pointers(refused)) == (400, ["/links/0/kind"])


async def test_the_memory_for_a_refusal_does_not_grow_with_names_times_violations(service: Service) -> None:
    raw = repeated(NUL, name="k" * 400_000)
    tracemalloc.start()
    try:
        refused = await service.call("POST", "/v1/tasks", raw=raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert refused.status_code == 400
    assert peak <= MEMORY_BYTES_MAX


async def test_others_are_answered_while_a_large_body_is_read(service: Service) -> None:
    answered: list[str] = []

    async def ask(name: str, method: str, path: str, raw: bytes | None = None) -> None:
        await service.call(method, path, raw=raw)
        answered.append(name)

    large = asyncio.create_task(ask("large", "POST", "/v1/tasks", repeated("[0]")))
    await asyncio.gather(large, ask("small", "GET", "/livez"))

    assert answered == ["small", "large"]


class Uncounted(list[object]):
    """A list that says how long it is and shows none of its elements one by one."""

    def __iter__(self) -> Iterator[object]:
        raise AssertionError("somebody looked at the elements of a list that is too long")


TOO_LONG: list[tuple[type[Struct], object, str]] = [
    (TaskBody, {"title": "x", "labelIds": Uncounted([1] * 300_000)}, "/labelIds"),
    (TimelineBody, {"items": Uncounted([1] * 300_000)}, "/items"),
    (TimelineBody, {"dependencies": Uncounted([{}] * 300_000)}, "/dependencies"),
    (TimelineBody, {"calendar": {"holidays": Uncounted([1] * 300_000)}}, "/calendar/holidays"),
    (TimelinePatch, {"items": Uncounted([1] * 300_000)}, "/items"),
    (BulkBody, {"operations": Uncounted([1] * 300_000)}, "/operations"),
]


@pytest.mark.parametrize(("kind", "tree", "pointer"), TOO_LONG, ids=[row[2] for row in TOO_LONG])
def test_a_list_that_is_too_long_is_refused_as_a_whole(
    kind: type[Struct], tree: object, pointer: str
) -> None:
    assert [violation.pointer for violation in violations_against(tree, kind)] == [pointer]


def test_no_more_violations_are_looked_for_than_are_shown() -> None:
    looked_at = 0

    def elements() -> Iterator[Violation]:
        nonlocal looked_at
        for violation in violations_against({"items": [{}] * 5_000}, TimelineBody):
            looked_at += 1
            yield violation

    assert len(invalid(elements()).violations) == looked_at == VIOLATIONS_MAX


ONES = b",".join([b"1"] * 500_000)
LONG_LISTS: list[tuple[str, str, bytes, str]] = [
    ("PUT", "timeline", b'{"items":[%s]}' % ONES, "/items"),
    ("PATCH", "timeline", b'{"items":[%s]}' % ONES, "/items"),
    ("PUT", "timeline", b'{"calendar":{"holidays":[%s]}}' % ONES, "/calendar/holidays"),
    ("PATCH", "timeline", b'{"calendar":{"holidays":[%s]}}' % ONES, "/calendar/holidays"),
    ("POST", "bulk", b'{"operations":[%s]}' % ONES, "/operations"),
    ("POST", "bulk", b'{"operations":[%s],"atomic":false}' % ONES, "/operations"),
]


@pytest.mark.parametrize(("method", "what", "raw", "pointer"), LONG_LISTS, ids=lambda part: str(part)[:20])
async def test_half_a_million_elements_are_one_violation(
    service: Service, *, method: str, what: str, raw: bytes, pointer: str
) -> None:
    project = await service.made("/v1/projects", {"name": "Garden"})
    before = await service.stored()

    path = BULK if what == "bulk" else f"/v1/projects/{project['id']}/timeline"
    refused = await service.call(method, path, raw=raw)

    assert (refused.status_code, pointers(refused)) == (400, [pointer])
    assert await service.stored() == before


async def test_a_name_too_long_is_cut_in_pointers_and_nobody_looks_below_it(service: Service) -> None:
    refused = await service.call("POST", "/v1/tasks", raw=b'{"%s": ["\\u0000"]}' % (b"k" * 5_000))

    assert pointers(refused)[0].startswith("/kkkk")
    assert pointers(refused)[0].endswith("k…")
    assert all(len(pointer) < 200 for pointer in pointers(refused))
    assert "/title" in pointers(refused)


async def test_half_a_surrogate_pair_in_a_name_is_refused_like_any_other(service: Service) -> None:
    refused = await service.call("POST", "/v1/tasks", raw=b'{"title": "x", "\\ud800": ["\\u0000"]}')

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")


BAD_LABELS: Json = {"op": "create", "title": "x", "labelIds": ["b"] * 50}
UNKNOWN_LABELS: Json = {
    "op": "create",
    "title": "x",
    "labelIds": [f"{number:024x}" for number in range(20)],
}


@pytest.mark.parametrize(
    ("operation", "status"), [(BAD_LABELS, 400), (UNKNOWN_LABELS, 422)], ids=["malformed", "unknown"]
)
async def test_operations_that_fail_by_themselves_share_the_violations_of_one_answer(
    service: Service, operation: Json, status: int
) -> None:
    answer = await service.call("POST", BULK, {"operations": [operation] * 300, "atomic": False})

    problems = [each["problem"] for each in answer.json()["outcomes"]]
    assert [each["status"] for each in problems] == [status] * 300
    counts = [len(each["errors"]) for each in problems]
    assert min(counts) == 1
    assert sum(counts) <= VIOLATIONS_MAX + 300
    assert problems[-1]["errors"][0]["pointer"] == "/operations/299/labelIds/0"


async def test_a_plan_of_many_contradictions_names_some(service: Service) -> None:
    project = await service.made("/v1/projects", {"name": "Garden"})
    links = [{"from": f"{number:060}", "to": "y" * 60} for number in range(6_000)]

    refused = await service.call(
        "PUT", f"/v1/projects/{project['id']}/timeline", {"items": [{"id": "a"}], "dependencies": links}
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "rule_broken")
    assert len(pointers(refused)) == VIOLATIONS_MAX
    assert len(refused.content) <= ANSWER_BYTES_MAX


async def test_a_long_cycle_is_not_told_in_full(service: Service) -> None:
    project = await service.made("/v1/projects", {"name": "Garden"})
    names = [f"{number:060}" for number in range(3_000)]
    body = {
        "items": [{"id": name} for name in names],
        "dependencies": [
            {"from": one, "to": other} for one, other in zip(names, [*names[1:], names[0]], strict=True)
        ],
    }

    refused = await service.call("PUT", f"/v1/projects/{project['id']}/timeline", body)

    assert (refused.status_code, pointers(refused)) == (422, ["/dependencies"])
    assert len(refused.content) <= ANSWER_BYTES_MAX


class Flow:
    """A body that notices whether anybody read it."""

    def __init__(self) -> None:
        self.was_read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.was_read = True
        yield b"{}"


def writing_operations(document: Any) -> list[tuple[str, str]]:
    return [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in ("post", "put", "patch", "delete") and not path.startswith("/v1/auth/")
    ]


async def test_nobody_reads_the_body_of_a_stranger(service: Service) -> None:
    document = (await service.client.get("/schema/openapi.json")).json()
    operations = writing_operations(document)
    assert len(operations) > 30

    for method, path in operations:
        flow = Flow()
        headers = {"Content-Type": "application/json"}
        refused = await service.client.request(method, path, content=flow, headers=headers)
        assert (refused.status_code, flow.was_read) == (401, False), (method, path)


@pytest.mark.parametrize("path", ["/v1/auth/refresh", "/v1/auth/logout", "/v1/auth/dev/token"])
async def test_strangers_send_short_bodies_only(service: Service, path: str) -> None:
    headers = {"Content-Type": "application/json"}

    refused = await service.client.post(path, content=repeated(NUL), headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert len(refused.content) <= ANSWER_BYTES_MAX


async def test_the_longest_address_and_name_still_sign_in(service: Service) -> None:
    email = f"{'a' * 242}@example.org"
    raw = json.dumps({"email": email, "name": "\N{ROCKET}" * 200}).encode()

    signed_in = await service.client.post(
        "/v1/auth/dev/token", content=raw, headers={"Content-Type": "application/json"}
    )

    assert (signed_in.status_code, signed_in.json()["user"]["email"]) == (200, email)
