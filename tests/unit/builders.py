"""Entities with honest defaults: name what matters to the test, leave the rest."""

from datetime import UTC, datetime, timedelta
from itertools import count

from application.actor import SYSTEM_ID, Actor
from domain.entity import Stamp
from domain.label import Label
from domain.project import Project
from domain.task import Task, TaskChanges

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ANNA = "a" * 24
BEN = "b" * 24


class CountingNumbers:
    """The port DisplayNumbers, for all tests of the process, so that no two use cases give one number."""

    def __init__(self) -> None:
        self._numbers = count(1)

    async def next(self) -> int:
        return next(self._numbers)

    async def several(self, count: int) -> list[int]:
        return [next(self._numbers) for _ in range(count)]

    def start_over(self) -> None:
        return


NUMBERS = CountingNumbers()


def stamp(minutes: float = 0, *, by: str = ANNA) -> Stamp:
    """Somebody, some minutes after noon."""
    return Stamp(NOON + timedelta(minutes=minutes), by)


def numbered_id(number: int) -> str:
    """An identifier that is easy to recognise."""
    return f"{number:024x}"


def project(number: int = 1, *, name: str = "Garden", owner_id: str = ANNA) -> Project:
    return Project.create(numbered_id(number), stamp(by=owner_id), owner_id=owner_id, changes={"name": name})


def task(number: int = 1, *, changes: TaskChanges | None = None, by: str = ANNA) -> Task:
    return Task.create(numbered_id(number), stamp(by=by), {"title": "Dig the pond", **(changes or {})})


def label(number: int = 1, *, name: str = "urgent", by: str = ANNA) -> Label:
    return Label.create(numbered_id(number), stamp(by=by), {"name": name})


def actor(id: str | None = None, *, admin: bool = False, request_id: str = "request-1") -> Actor:
    """Anna, or somebody else. An administrator without an id is the system, which has no account: rights that rest on a
    grant need an account that has it.
    """
    grants = frozenset({"admin"}) if admin else frozenset[str]()
    return Actor(id=id or (SYSTEM_ID if admin else ANNA), grants=grants, request_id=request_id)
