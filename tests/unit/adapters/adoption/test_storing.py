"""Storing a plan: complete after a crash at any commit, and never over what people have changed since."""

from typing import Any

import pytest
from bson.objectid import ObjectId

from adapters.adoption.quarantine import QUARANTINE_MAX
from adapters.adoption.recognition import read_originals
from adapters.adoption.storing import Adoption
from adapters.records.adoption_state import State, adoption_state
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record_store import FETCH_MAX
from adapters.repositories.display_numbers import StoredDisplayNumbers
from adapters.repositories.generic import StoredRepository
from adapters.repositories.pending import Pending
from adapters.repositories.planning import StoredTasks
from domain.audit import Action
from domain.errors import Conflict
from tests.unit.adapters.adoption.adoptions import DATABASE, PLAN, adopt, contents, quarantined_in
from tests.unit.adapters.adoption.originals import AT, Database, planned
from tests.unit.contracts.builders import put, task
from tests.unit.memory_store import MemoryRecordStore
from tools.todo_database import duplicates, malformed, sample
from tools.todo_documents import task_id, team_id, user_id


async def test_a_second_adoption_writes_nothing() -> None:
    store = MemoryRecordStore()
    assert await adopt(store) == len(PLAN.records)
    before = await contents(store)

    assert await adopt(store) == 0
    assert await contents(store) == before


async def test_a_completed_adoption_leaves_what_people_have_changed() -> None:
    store = MemoryRecordStore()
    await adopt(store)
    id = str(task_id(1))
    held = (await store.fetch("tasks", [id]))[id]
    changed = {**held, "version": held["version"] + 1, "title": "Dig deeper"}
    await store.commit(ChangeSet((Put("tasks", changed, held["version"]),)))

    await adopt(store)

    assert (await store.fetch("tasks", [id]))[id] == changed


async def test_a_document_in_quarantine_is_taken_over_once_it_was_corrected() -> None:
    store = MemoryRecordStore()
    await adopt(store)
    broken = malformed()
    broken["tasks"][1]["title"] = "Now it has one"
    renewed = planned(sample(12), duplicates(), broken)

    assert await adopt(store, renewed) == 1

    id = str(broken["tasks"][1]["_id"])
    found = (await store.fetch("tasks", [id]))[id]
    assert (found["title"], found["displayId"]) == ("Now it has one", 901)
    assert id not in await quarantined_in(store)


async def test_a_history_that_is_longer_than_a_commit_stays_complete() -> None:
    """Above the most ids that a store is asked for at once; the second run asks for all of them."""
    events = [
        {"_id": ObjectId(f"65e58d9000000008{number:08x}"), "task_id": task_id(1), "action": "status_changed"}
        for number in range(0x10000, 0x10000 + FETCH_MAX + 1)
    ]
    plan = planned(sample(3), {"audit_logs": events})
    store = MemoryRecordStore()
    begun = await Adoption(store, database=DATABASE).begin(AT)
    await Adoption(store, database=DATABASE).store(plan, begun, lambda _done, _total: None)

    assert await adopt(store, plan) == 0

    stored = await store.scan("audit_logs", after=None, limit=5_000)
    versions = [one["version"] for one in stored if one["entityId"] == str(task_id(1))]
    assert sorted(versions) == list(range(1, FETCH_MAX + 3))


async def test_what_was_corrected_too_late_stays_in_quarantine() -> None:
    broken = {"_id": ObjectId("65e58d900000000a00000777"), "role_name": "admin", "scope": "TEAM"}
    corrected = {**broken, "user_id": str(user_id(2)), "team_id": str(team_id(0))}
    store = MemoryRecordStore()
    await adopt(store, planned(sample(12), {"user_roles": [broken]}))
    before = await contents(store)

    assert await adopt(store, planned(sample(12), {"user_roles": [corrected]})) == 0

    assert (await contents(store))["team_members"] == before["team_members"]
    assert await quarantined_in(store) == {str(broken["_id"])}


async def test_too_many_malformed_documents_are_no_exceptions() -> None:
    store = MemoryRecordStore()
    tasks = [{"_id": number, "title": "Dig", "createdBy": "x"} for number in range(QUARANTINE_MAX + 1)]
    with pytest.raises(Conflict, match="too many to be exceptions"):
        await adopt(store, planned({"users": [], "tasks": tasks}))
    assert (await contents(store))["tasks"] == []


async def test_every_version_has_its_entry_and_earlier_ones_can_be_read() -> None:
    store = MemoryRecordStore()
    await adopt(store)
    id = str(task_id(2))
    entries = [
        one for one in await store.scan("audit_logs", after=None, limit=5_000) if one["entityId"] == id
    ]

    by_version = {one["version"]: one for one in entries}
    assert [by_version[number]["action"] for number in (1, 2, 3)] == [
        Action.UPDATED,
        Action.UPDATED,
        Action.IMPORTED,
    ]
    tasks: StoredRepository[Any] = StoredTasks(store, Pending())
    assert [(await tasks.at_version(id, number)).status for number in (1, 2, 3)] == [
        "TODO",
        "BLOCKED",
        "BLOCKED",
    ]


async def test_new_tasks_get_numbers_above_all_that_were_ever_given() -> None:
    store = MemoryRecordStore()
    await adopt(store)
    assert await StoredDisplayNumbers(store).next() == PLAN.highest_number + 1


async def test_an_adoption_is_running_until_everything_can_be_read() -> None:
    store = MemoryRecordStore()
    adoption = Adoption(store, database=DATABASE)
    begun = await adoption.begin(AT)
    await adoption.store(PLAN, begun, lambda _done, _total: None)
    assert await adoption_state(store) is State.RUNNING

    unreadable = await adoption.differences(planned(sample(13)), begun)
    assert any(str(task_id(12)) in one and "is missing" in one for one in unreadable)


async def test_a_store_with_records_of_its_own_is_refused() -> None:
    store = MemoryRecordStore()
    await store.commit(ChangeSet((put("tasks", task(1)),)))
    with pytest.raises(Conflict, match="already holds records"):
        await Adoption(store, database=DATABASE).begin(AT)


async def test_a_store_adopts_one_database() -> None:
    store = MemoryRecordStore()
    await adopt(store)
    with pytest.raises(Conflict, match="has adopted another database"):
        await Adoption(store, database="other").begin(AT)


@pytest.mark.parametrize(
    ("database", "message"),
    [
        (Database(), "has no collection users and no tasks"),
        (Database({"users": sample()["users"], "posts": []}), "has no collection tasks"),
        (Database(sample(), own=["control"]), "belongs to Tandem already"),
        (Database({"users": [{"login": "a"}, {"login": "b"}], "tasks": []}), "Most documents of users"),
        (Database({"users": [], "tasks": [{"subject": "x"}]}), "Most documents of tasks"),
    ],
)
async def test_a_database_of_another_shape_is_refused(database: Database, message: str) -> None:
    with pytest.raises(Conflict, match=message):
        await read_originals(database, lambda _done, _total: None)
