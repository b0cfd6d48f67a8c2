"""Every cell of docs/permissions.md, tried over HTTP."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby

import httpx
import msgspec
import pytest

from adapters.records.record import Record
from tests.unit.entrypoints.http.openapi_copy import COPY
from tests.unit.entrypoints.http.permission_table import Cell, asked, cells
from tests.unit.entrypoints.http.permission_world import make_world
from tests.unit.entrypoints.http.service import Service, failed_entry
from tests.unit.memory_store import Collections, MemoryRecordStore

METHODS = {"get", "post", "put", "patch", "delete"}
CELLS = list(cells())
LINES = [list(line) for _, line in groupby(CELLS, key=lambda cell: cell.operation)]


@cache
def shared_service() -> Service:
    return Service(MemoryRecordStore())


_WORLD: list[Collections] = []


@pytest.fixture
def service() -> Iterator[Service]:
    running = shared_service()
    yield running
    running.client.cookies.clear()


async def put_back_world(service: Service) -> Collections:
    """Restores the world as it was before any caller touched it, and returns its records."""
    if not _WORLD:
        service.renew()
        await make_world(service.store)
        _WORLD.append(service.store.snapshot())
    if service.store.snapshot() != _WORLD[0]:
        service.store.put_back(_WORLD[0])
    service.parts.mirror.entries = [failed_entry(1)]
    world: Collections = service.store.snapshot()
    return world


# A test for each line and not for each cell: 1,700 tests would cost more than the requests they make.
@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0].operation)
async def test_every_caller_gets_the_answer_that_the_table_states(
    service: Service, line: Sequence[Cell]
) -> None:
    wrong = []
    for cell in line:
        before = await put_back_world(service)
        answer = await asked(service, cell)
        wrong += [fault for fault in [cell.fault_of(answer)] if fault is not None]
        if cell.is_refused:
            if service.store.snapshot() != before:
                wrong.append(f"{cell}: the rejected request changed something")
            if mentions(answer, before) and answer.status_code in (401, 404):
                wrong.append(f"{cell}: the rejection names a record that its reader must not know")
        service.client.cookies.clear()
    assert wrong == []


def mentions(answer: httpx.Response, world: dict[str, dict[str, Record]]) -> bool:
    """Whether a refusal tells a name or title that its reader must not know."""
    names = {record.get("name") or record.get("title") for kept in world.values() for record in kept.values()}
    return any(f"“{name}”" in answer.text for name in names if name)


def test_the_table_has_a_line_for_every_operation() -> None:
    document = msgspec.json.decode(COPY.read_bytes())
    served = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if method in METHODS
    }
    asked_for = {(cell.method, cell.path.partition("?")[0]) for cell in CELLS}
    forms = {(method, path, re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path))) for method, path in served}
    lacking = [
        f"{method} {path}"
        for method, path, form in sorted(forms, key=str)
        if not any(method == one and form.fullmatch(address) for one, address in asked_for)
    ]
    assert lacking == []
