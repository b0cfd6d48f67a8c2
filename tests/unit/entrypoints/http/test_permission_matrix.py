"""Every cell of docs/permissions.md, tried over HTTP."""

import re
from collections.abc import AsyncIterator
from functools import cache

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


@cache
def shared_service() -> Service:
    return Service(MemoryRecordStore())


_WORLD: list[Collections] = []


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """The world as it was before the last caller touched it."""
    running = shared_service()
    if not _WORLD:
        running.renew()
        await make_world(running.store)
        _WORLD.append(running.store.snapshot())
    running.store.put_back(_WORLD[0])
    running.parts.mirror.entries = [failed_entry(1)]
    yield running
    running.client.cookies.clear()


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_the_answer_is_what_the_table_says(service: Service, cell: Cell) -> None:
    before = service.store.snapshot()
    answer = await asked(service, cell)
    assert cell.fault_of(answer) is None
    if cell.is_refused:
        assert service.store.snapshot() == before
        assert not mentions(answer, before) or answer.status_code not in (401, 404)


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
