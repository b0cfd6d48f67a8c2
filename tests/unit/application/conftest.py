"""The use cases over a real unit of work and the embedded document store in memory."""

import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.record_store import RecordStore
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import Begin
from tests.unit.application.team_fixture import TeamFixture
from tests.unit.builders import NOON


class SteppingClock:
    """The port Clock for tests: one minute later at each reading."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> datetime:
        self._looks += 1
        return NOON + timedelta(minutes=self._looks)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def identifiers() -> Identifiers:
    return SortableIdentifiers()


@pytest.fixture
async def store() -> AsyncIterator[RecordStore]:
    opened = MontyRecordStore(None, database=f"test_{secrets.token_hex(6)}")
    await opened.open()
    await opened.prepare()
    yield opened
    await opened.close()


@pytest.fixture
def begin(store: RecordStore, identifiers: Identifiers) -> Begin:
    return partial(StoredUnitOfWork, store, identifiers)


@pytest.fixture
async def fixture() -> TeamFixture:
    opened = TeamFixture()
    await opened.open()
    return opened
