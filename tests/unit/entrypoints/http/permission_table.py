"""docs/permissions.md as the tests read it: a cell for every caller before every operation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import httpx
import msgspec

from adapters.auth.invite_codes import InviteCodes
from application.ports.invitations import Invitation
from entrypoints.http.files import LINES_TYPE
from tests.unit.builders import NOON
from tests.unit.entrypoints.http.permission_world import CALLERS, GRANTS, IDS, USERS
from tests.unit.entrypoints.http.service import Service, keys

TABLE = Path(__file__).parents[4] / "docs" / "permissions.md"
YES = "yes"
STATUSES = {YES, "401", "403", "404", "422"}
LISTED_MAX = 99
INVITE = "invite code"
ACCEPTED = (200, 201, 202, 204)


@dataclass(frozen=True, slots=True)
class Cell:
    """One caller before one operation. `expected` is yes, how many things are listed, or the refusal's status."""

    method: str
    path: str
    body: str
    caller: str
    expected: str

    def __str__(self) -> str:
        return f"{self.caller} {self.operation}"

    @property
    def operation(self) -> str:
        """What is asked for, whoever asks."""
        return f"{self.method} {self.path} {self.body}".strip()

    @property
    def is_refused(self) -> bool:
        """Whether the answer is a refusal."""
        return self.expected != YES and int(self.expected) > LISTED_MAX

    @property
    def may_write(self) -> bool:
        """Whether the world may be another one afterwards."""
        return self.method != "GET" and not self.is_refused

    def fault_of(self, answer: httpx.Response) -> str | None:
        """What is wrong with an answer; None where it is what the table says."""
        told = f"{self}: {answer.status_code} {answer.text}"
        if self.is_refused:
            return None if str(answer.status_code) == self.expected else told
        if answer.status_code not in ACCEPTED:
            return told
        if self.expected == YES or len(answer.json()["items"]) == int(self.expected):
            return None
        return told


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
