"""What an older version left elsewhere is put in place as changes of Tandem's own, whoever writes at the same time."""

from typing import Any

import pytest

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import IS_ERASED, Record, is_tombstone
from adapters.records.record_store import RecordStore
from adapters.repositories.placing import PAGE, Placing
from adapters.system.clock import SystemClock
from adapters.system.identifiers import SortableIdentifiers
from application.actor import SYSTEM_ID
from domain.watch import watch_id
from tests.unit.builders import ANNA, BEN, numbered_id
from tests.unit.contracts.builders import everything, minutes, project, task
from tests.unit.contracts.old_homes import WAITING, counted, old_records, require_in_place
from tests.unit.faults import FaultyStore, Moment, Step, open_gate
from tests.unit.memory_store import MemoryRecordStore

COLLECTIONS = ("tasks", "task_assignments", "watchlists", "team_members", "audit_logs", "control")
BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
PROJECT, TASK = numbered_id(0xC1), numbered_id(1)
OWN = watch_id(ANNA, TASK)


def placing_in(store: RecordStore) -> Placing:
    return Placing(store, SortableIdentifiers(), SystemClock())


async def keep(store: RecordStore, collection: str, *records: Record) -> None:
    """Stores records that no entry tells of, as those from before Tandem are."""
    await store.commit(ChangeSet(tuple(Put(collection, record, 0) for record in records)))


@pytest.fixture
def store() -> MemoryRecordStore:
    return MemoryRecordStore()


@pytest.fixture
async def old(store: MemoryRecordStore) -> MemoryRecordStore:
    """A store with all that `old_records` tells of."""
    for collection, records in old_records().items():
        await keep(store, collection, *records)
    return store


async def test_everything_is_counted_and_then_put_in_place(old: MemoryRecordStore) -> None:
    placing = placing_in(old)
    before = await everything(old, *COLLECTIONS)
    assert counted(await placing.waiting()) == {name: (count, 0) for name, count in WAITING.items()}
    assert await everything(old, *COLLECTIONS) == before
    assert not await placing.is_done()

    assert counted(await placing.put_in_place()) == {name: (0, count) for name, count in WAITING.items()}

    await require_in_place(old)
    assert counted(await placing.waiting()) == dict.fromkeys(WAITING, (0, 0))
    assert await placing_in(old).is_done()


async def test_every_change_has_its_entry_in_the_name_of_tandem(old: MemoryRecordStore) -> None:
    await placing_in(old).put_in_place()
    entries = await old.scan("audit_logs", after=None, limit=100)
    actions = sorted((entry["collection"], entry["action"]) for entry in entries)
    assert actions == [
        *[("tasks", "UPDATED")] * 4,
        *[("team_members", "IMPORTED")] * 2,
        *[("team_members", "PURGED")] * 2,
        ("watchlists", "IMPORTED"),
        *[("watchlists", "PURGED")] * 2,
    ]
    assert {entry["actorId"] for entry in entries} == {SYSTEM_ID}


async def test_a_second_run_changes_nothing(old: MemoryRecordStore) -> None:
    await placing_in(old).put_in_place()
    before = await everything(old, *COLLECTIONS)
    assert counted(await placing_in(old).put_in_place()) == dict.fromkeys(WAITING, (0, 0))
    assert await everything(old, *COLLECTIONS) == before


async def test_a_project_that_changes_hands_meanwhile_is_followed(store: MemoryRecordStore) -> None:
    await keep(store, "projects", project(0xC1))
    await keep(store, "tasks", task(1, projectId=PROJECT, ownerId=BEN))
    crossings = iter([project(0xC1, version=2, ownerId=numbered_id(0xD))])

    async def cross(step: Step) -> None:
        await open_gate(step)
        for record in crossings if step == BEFORE_COMMIT else ():
            await store.commit(ChangeSet((Put("projects", record, 1),)))

    done = await placing_in(FaultyStore(store, cross)).put_in_place()

    assert counted(done)["tasks"] == (0, 1)
    record = (await store.fetch("tasks", [TASK]))[TASK]
    assert (record["version"], record["ownerId"]) == (2, numbered_id(0xD))


async def test_one_that_cannot_be_put_in_place_hinders_no_other(store: MemoryRecordStore) -> None:
    await keep(store, "projects", project(0xC1))
    await keep(store, "tasks", *(task(number, projectId=PROJECT, ownerId=BEN) for number in range(1, 9)))

    async def always_changed(step: Step) -> None:
        await open_gate(step)
        if step == BEFORE_COMMIT:
            present = (await store.fetch("tasks", [TASK]))[TASK]
            after = {**present, "version": present["version"] + 1}
            await store.commit(ChangeSet((Put("tasks", after, present["version"]),)))

    placing = placing_in(FaultyStore(store, always_changed))

    assert counted(await placing.put_in_place())["tasks"] == (1, 7)
    assert not await placing.is_done()
    assert counted(await placing_in(store).put_in_place())["tasks"] == (0, 1)


async def test_what_cannot_be_read_is_left_alone(old: MemoryRecordStore) -> None:
    records = {record["id"]: record for record in old_records()["task_assignments"]}
    for number, record in enumerate(records.values()):
        broken = {**record, "id": numbered_id(0xF0 + number), "assigneeType": "ROBOT", "taskId": TASK}
        # No store takes such a record; something else wrote it.
        old._collections["task_assignments"][broken["id"]] = broken
    await keep(old, "tasks", task(1))
    assert counted(await placing_in(old).waiting())["tasks"] == (4, 0)
    assert counted(await placing_in(old).put_in_place())["tasks"] == (0, 4)
    await require_in_place(old)


async def test_more_than_a_page_is_gone_through_to_its_end(store: MemoryRecordStore) -> None:
    await keep(store, "projects", project(0xC1))
    numbers = range(1, PAGE + 3)
    await keep(store, "tasks", *(task(number, projectId=PROJECT, ownerId=BEN) for number in numbers))
    done = await placing_in(store).put_in_place()
    assert (counted(done)["tasks"], done[0].looked_at) == ((0, PAGE + 2), PAGE + 2)


def watch(id: str, *, minute: float = 0, ended: bool = False, **fields: Any) -> Record:
    """Anna's watch over the task, under any id."""
    at = minutes(minute)
    return {
        "id": id,
        "version": 1,
        "createdAt": at,
        "createdBy": ANNA,
        "updatedAt": at,
        "updatedBy": ANNA,
        "isDeleted": ended,
        "deletedAt": at if ended else None,
        "deletedBy": ANNA if ended else None,
        "userId": ANNA,
        "taskId": TASK,
        **fields,
    }


@pytest.mark.parametrize(
    ("held", "is_watching"),
    [
        ([watch("1" * 24), watch("2" * 24, minute=5, ended=True)], True),
        ([watch("1" * 24, ended=True), watch("2" * 24, minute=5)], True),
        ([watch("1" * 24, ended=True), watch("2" * 24, minute=5, ended=True)], False),
        ([watch("1" * 24), watch(OWN, ended=True)], False),
        ([watch("1" * 24, ended=True), watch(OWN)], True),
    ],
    ids=["live first", "live last", "all ended", "given up since", "taken up since"],
)
async def test_of_several_that_mean_the_same_one_is_left(
    store: MemoryRecordStore, held: list[Record], is_watching: bool
) -> None:
    await keep(store, "watchlists", *held)
    await placing_in(store).put_in_place()
    left = [one for one in await store.scan("watchlists", after=None, limit=9) if not is_tombstone(one)]
    assert [(one["id"], one["isDeleted"]) for one in left] == [(OWN, not is_watching)]


async def test_what_was_removed_for_good_does_not_come_back_under_another_id(
    store: MemoryRecordStore,
) -> None:
    removed: Record = {"id": OWN, "version": 3, "isDeleted": True, IS_ERASED: True}
    await keep(store, "watchlists", watch("1" * 24), removed)
    await placing_in(store).put_in_place()
    assert all(map(is_tombstone, await store.scan("watchlists", after=None, limit=9)))
