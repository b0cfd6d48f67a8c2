"""Every cell of docs/permissions.md, tried over HTTP."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import httpx
import msgspec
import pytest

from adapters.auth.invite_codes import InviteCodes
from adapters.records.record import Record
from application.ports.invitations import Invitation
from entrypoints.http.interchange_shapes import LINES_TYPE
from tests.unit.builders import NOON
from tests.unit.entrypoints.http.openapi_copy import COPY
from tests.unit.entrypoints.http.permission_world import CALLERS, GRANTS, IDS, USERS, make_world
from tests.unit.entrypoints.http.service import Service, failed_entry, keys
from tests.unit.memory_store import Collections, MemoryRecordStore

TABLE = Path(__file__).parents[4] / "docs" / "permissions.md"
STATUSES = {"yes", "401", "403", "404", "422"}
LISTED_MAX = 99
INVITE = "invite code"
METHODS = {"get", "post", "put", "patch", "delete"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One caller before one operation."""

    method: str
    path: str
    body: str
    caller: str
    expected: str

    def __str__(self) -> str:
        return f"{self.caller} {self.method} {self.path} {self.body}".strip()


def filled(text: str) -> str:
    """The text with the id of each name in braces."""
    return re.sub(
        r"\{([a-z][a-z' ]+)\}", lambda name: invite_code() if name[1] == INVITE else IDS[name[1]], text
    )


@cache
def invite_code() -> str:
    """What lets anybody into the team."""
    invitation = Invitation(team_id=IDS["team"], series=1, expires_at=NOON + timedelta(days=1))
    return InviteCodes(keys().derived_secret("invite-codes")).code_of(invitation)


def cells() -> Iterator[Cell]:
    """Every cell of every table."""
    for line in TABLE.read_text().splitlines():
        if not line.startswith("| `"):
            continue
        operation, body, *answers = (part.strip() for part in line.strip("|").split(" | "))
        method, _, path = operation.strip("`| ").partition(" ")
        assert len(answers) == len(CALLERS), line
        for caller, expected in zip(CALLERS, answers, strict=True):
            assert expected.strip() in STATUSES or int(expected) <= LISTED_MAX, line
            yield Cell(method, path, body.strip("` "), caller, expected.strip())


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


async def asked(service: Service, cell: Cell) -> httpx.Response:
    """The answer that the cell's caller gets."""
    body = None if not cell.body else msgspec.json.decode(filled(cell.body))
    path = filled(cell.path)
    if cell.caller == "nobody":
        return await service.client.request(cell.method, path, json=body)
    headers = service.headers(USERS[cell.caller], *GRANTS.get(cell.caller, ()))
    if path.startswith("/v1/imports"):
        headers["Content-Type"] = LINES_TYPE
    return await service.client.request(cell.method, path, json=body, headers=headers)


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_the_answer_is_what_the_table_says(service: Service, cell: Cell) -> None:
    before = service.store.snapshot()
    answer = await asked(service, cell)
    told = f"{answer.status_code} {answer.text}"
    if cell.expected == "yes":
        assert answer.status_code in (200, 201, 202, 204), told
        return
    if int(cell.expected) <= LISTED_MAX:
        assert answer.status_code == 200, told
        assert len(answer.json()["items"]) == int(cell.expected), told
        return
    assert str(answer.status_code) == cell.expected, told
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
