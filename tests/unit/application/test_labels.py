"""The labels that a new installation starts with."""

import asyncio
from functools import partial

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.actor import SYSTEM_ID, system_actor
from application.labels import CreateLabel, DeleteLabel, EditLabel, ListLabels, RestoreLabel, SeedLabels
from application.paging import PageRequest, Sort
from application.ports.unit_of_work import Begin
from domain.entity import Stamp
from domain.errors import AlreadyExists
from domain.label import FIRST_LABELS, Label, first_label_id
from domain.user import User
from tests.unit.application.conftest import SteppingClock
from tests.unit.builders import ANNA, NOON, actor
from tests.unit.memory_store import MemoryRecordStore

START = system_actor("start")
ADMIN = actor(admin=True)
STAMP = Stamp(NOON, ANNA)
BUG, CHORE, IDEA = (first_label_id(name) for name in ("bug", "chore", "idea"))


@pytest.fixture
def store() -> MemoryRecordStore:
    return MemoryRecordStore()


@pytest.fixture
def begin(store: MemoryRecordStore) -> Begin:
    return partial(StoredUnitOfWork, store, SortableIdentifiers())


@pytest.fixture
def seed(begin: Begin, clock: SteppingClock) -> SeedLabels:
    return SeedLabels(begin, clock)


async def labels_in(begin: Begin) -> dict[str, Label]:
    """The live labels by name."""
    page = await ListLabels(begin)(actor(), None, PageRequest(sort=Sort("name")))
    return {label.name: label for label in page.items}


async def test_a_new_installation_has_its_first_labels_once_however_many_processes_start(
    begin: Begin, seed: SeedLabels
) -> None:
    await asyncio.gather(*(seed(START) for _ in range(6)))

    labels = await labels_in(begin)
    assert {name: label.color for name, label in labels.items()} == FIRST_LABELS
    assert {(label.version, label.created_by) for label in labels.values()} == {(1, SYSTEM_ID)}


async def test_what_became_of_the_first_labels_outlasts_the_next_start(
    begin: Begin, seed: SeedLabels, clock: SteppingClock, store: MemoryRecordStore
) -> None:
    await seed(START)
    await EditLabel(begin, clock)(ADMIN, BUG, {"name": "defect"}, expected_version=None)
    await DeleteLabel(begin, clock)(ADMIN, CHORE, expected_version=None)
    work = begin(ADMIN)
    work.labels.erase(await work.labels.get(IDEA), STAMP)
    await work.commit()
    before = await store.scan("labels", after=None, limit=100)

    await seed(START)

    assert await store.scan("labels", after=None, limit=100) == before
    left = {*FIRST_LABELS} - {"bug", "chore", "idea"} | {"defect"}
    assert set(await labels_in(begin)) == left


async def test_a_name_that_is_taken_is_left_out(begin: Begin, seed: SeedLabels) -> None:
    work = begin(actor())
    work.labels.save(Label.create("5" * 24, STAMP, {"name": "bug"}))
    await work.commit()

    await seed(START)

    labels = await labels_in(begin)
    assert (set(labels), labels["bug"].id) == (set(FIRST_LABELS), "5" * 24)


async def test_an_installation_with_people_is_given_no_labels(begin: Begin, seed: SeedLabels) -> None:
    work = begin(actor())
    work.users.save(User.create(ANNA, STAMP, email="anna@example.org", name="Anna"))
    await work.commit()

    await seed(START)

    assert await labels_in(begin) == {}


@pytest.mark.parametrize("other", ["Bug", "BUG", " bug ", "bug"])
async def test_a_label_name_is_taken_in_every_case(
    begin: Begin, seed: SeedLabels, clock: SteppingClock, other: str
) -> None:
    await seed(START)
    creates = CreateLabel(begin, clock, SortableIdentifiers())
    with pytest.raises(AlreadyExists) as created:
        await creates(ADMIN, {"name": other})
    with pytest.raises(AlreadyExists) as renamed:
        await EditLabel(begin, clock)(ADMIN, CHORE, {"name": other}, expected_version=None)
    assert [fault.pointer for fault in (*created.value.violations, *renamed.value.violations)] == [
        "/name"
    ] * 2
    assert sorted(await labels_in(begin)) == sorted(FIRST_LABELS)
    await EditLabel(begin, clock)(ADMIN, BUG, {"name": "Bug"}, expected_version=None)
    assert "Bug" in await labels_in(begin)


async def test_a_deleted_label_is_not_restored_beside_another_of_its_name(
    begin: Begin, seed: SeedLabels, clock: SteppingClock
) -> None:
    await seed(START)
    await DeleteLabel(begin, clock)(ADMIN, BUG, expected_version=None)
    await CreateLabel(begin, clock, SortableIdentifiers())(ADMIN, {"name": "BUG"})
    with pytest.raises(AlreadyExists) as refusal:
        await RestoreLabel(begin, clock)(ADMIN, BUG, expected_version=None)
    assert [fault.pointer for fault in refusal.value.violations] == ["/name"]
