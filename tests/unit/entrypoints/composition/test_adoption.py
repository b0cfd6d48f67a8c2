"""What the store that takes the records over says of an adoption, and which databases are refused before anything is
written.
"""

import asyncio
from pathlib import Path

import pytest
from bson.objectid import ObjectId

from adapters.adoption.quarantine import QUARANTINE_MAX
from adapters.adoption.storing import Adoption
from adapters.records.adoption_state import State
from adapters.records.change_set import ChangeSet
from application.ports.adoption import AdoptionReport, SoFar
from domain.errors import Conflict
from entrypoints.composition.adoption import adopt, census, for_adoption, require_adoptable
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import Settings, read_settings
from tests.unit.adapters.adoption.originals import AT, Database
from tests.unit.contracts.builders import put, task
from tools.todo_database import sample

MARKED = ("tandem.control",)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation that keeps its records in files, apart from the database that it adopts."""
    return read_settings({"APP_ENV": "test", "STORE": "monty", "DATA_DIR": str(tmp_path / "data")})


async def read(settings: Settings, originals: Database) -> AdoptionReport:
    """What a dry run reports."""
    return await census(settings, originals, lambda _done, _total: None)


async def adopted(settings: Settings, originals: Database) -> AdoptionReport:
    """A whole adoption."""
    container = build_container(for_adoption(settings))
    await container.stack().open()
    try:
        return await adopt(container, originals, lambda _done, _total: None)
    finally:
        await container.stack().close()


async def begun(settings: Settings, database: str) -> None:
    """An adoption that ended before it had stored anything."""
    container = build_container(for_adoption(settings))
    await container.stack().open()
    await Adoption(container.store(), database=database).begin(AT)
    await container.stack().close()


def test_a_census_of_a_new_installation_creates_nothing(settings: Settings, tmp_path: Path) -> None:
    report = asyncio.run(read(settings, Database(sample(3))))

    assert (report.so_far, report.written) == (SoFar.NOT_BEGUN, None)
    assert list(tmp_path.iterdir()) == []


async def test_a_census_after_an_interrupted_adoption_says_so(settings: Settings) -> None:
    originals = Database(sample(3))
    await begun(settings, originals.database)

    assert (await read(settings, originals)).so_far is SoFar.INTERRUPTED
    assert (await adopted(settings, originals)).so_far is SoFar.INTERRUPTED


async def test_a_census_after_a_completed_adoption_says_so(settings: Settings) -> None:
    originals = Database(sample(3))
    assert (await adopted(settings, originals)).so_far is SoFar.NOT_BEGUN

    assert (await read(settings, originals)).so_far is SoFar.COMPLETE


async def test_a_store_that_has_adopted_another_database_is_refused_after_the_census(
    settings: Settings,
) -> None:
    await adopted(settings, Database(sample(3), name="another"))

    report = await read(settings, Database(sample(3)))

    assert report.so_far is SoFar.OTHER_DATABASE
    with pytest.raises(Conflict, match="has adopted another database, so todo-app cannot be adopted into it"):
        require_adoptable(report)


async def test_a_store_that_holds_records_is_refused_after_the_census(settings: Settings) -> None:
    container = build_container(for_adoption(settings))
    await container.stack().open()
    await container.store().commit(ChangeSet((put("tasks", task(1)),)))
    await container.stack().close()

    report = await read(settings, Database(sample(3)))

    assert report.so_far is SoFar.NOT_EMPTY
    with pytest.raises(Conflict, match="already holds records of Tandem"):
        require_adoptable(report)


async def test_a_census_beside_a_process_that_holds_the_store_does_not_know(settings: Settings) -> None:
    container = build_container(for_adoption(settings))
    await container.stack().open()

    report = await read(settings, Database(sample(3)))

    await container.stack().close()
    assert report.so_far is SoFar.UNKNOWN


async def test_a_database_whose_own_adoption_was_interrupted_is_refused_with_both_ways_out(
    settings: Settings,
) -> None:
    originals = Database(sample(3), own=MARKED, state=State.RUNNING)

    for run in (read, adopted):
        with pytest.raises(Conflict) as refused:
            await run(settings, originals)
        assert "has begun and is not complete" in refused.value.message
        assert "set STORE=mongo and DB_NAME=todo-app, and type: tandem adopt" in refused.value.message
        assert "drop those collections of todo-app whose names begin with tandem." in refused.value.message
        assert "Another installation" not in refused.value.message
    # Nothing was begun in this store.
    assert (await read(settings, Database(sample(3)))).so_far is SoFar.NOT_BEGUN


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (State.DONE, "Another installation of Tandem has adopted the database todo-app"),
        (None, "Another installation of Tandem keeps its records in the database todo-app"),
        (State.GIVEN_UP, "Another installation of Tandem keeps its records in the database todo-app"),
    ],
)
async def test_a_database_of_another_installation_is_refused(
    settings: Settings, state: State | None, message: str
) -> None:
    with pytest.raises(Conflict, match=message):
        await read(settings, Database(sample(3), own=MARKED, state=state))


@pytest.mark.parametrize("state", list(State))
async def test_an_adoption_that_moved_here_can_be_repeated(settings: Settings, state: State) -> None:
    """The store in which it happened is the same database, or was its mirror."""
    await adopted(settings, Database(sample(3)))
    marked = Database(sample(3), own=MARKED, state=state)

    assert (await read(settings, marked)).so_far is SoFar.COMPLETE
    assert (await adopted(settings, marked)).written == 0


async def test_too_many_unusable_documents_are_refused_after_the_census(settings: Settings) -> None:
    untitled = [{"_id": ObjectId(f"65e58d90000000ff{number:08x}")} for number in range(QUARANTINE_MAX + 1)]
    titled = [{"_id": ObjectId(), "title": "One"} for _ in range(QUARANTINE_MAX + 2)]

    report = await read(settings, Database({**sample(3), "tasks": [*untitled, *titled]}))

    assert len(report.set_aside) == QUARANTINE_MAX + 1
    with pytest.raises(Conflict, match=f"at most {QUARANTINE_MAX}"):
        require_adoptable(report)
