"""An adoption that was interrupted goes on: what happened to the documents meanwhile is taken over, too."""

from typing import Any

import pytest
from bson.objectid import ObjectId

from adapters.adoption.storing import Adoption
from adapters.records.record import is_tombstone
from adapters.repositories.generic import StoredRepository
from adapters.repositories.pending import Pending
from adapters.repositories.planning import StoredTasks
from domain.audit import Action
from domain.errors import StoreUnavailable
from tests.unit.adapters.adoption.adoptions import (
    DATABASE,
    PLAN,
    DyingStore,
    adopt,
    contents,
    entries_about,
    interrupted,
    quarantined_in,
    without,
)
from tests.unit.adapters.adoption.originals import AT, planned
from tests.unit.memory_store import MemoryRecordStore
from tools.todo_database import duplicates, malformed, sample
from tools.todo_documents import label_id, task_id, team_id, user_id


async def test_an_adoption_that_dies_anywhere_ends_as_one_that_does_not() -> None:
    whole = MemoryRecordStore()
    await adopt(whole)
    expected, interruptions = await contents(whole), 0
    for lives in range(200):
        for is_stored in (False, True):
            store = MemoryRecordStore()
            try:
                await adopt(DyingStore(store, lives=lives, is_stored=is_stored))
            except StoreUnavailable:
                interruptions += 1
                await adopt(store)
            assert await contents(store) == expected
        if interruptions == lives * 2:
            break
    assert interruptions > 20


async def test_documents_that_changed_during_an_interruption_are_taken_over_as_new_versions() -> None:
    store = MemoryRecordStore()
    await Adoption(store, database=DATABASE).begin(AT)
    begun = await Adoption(store, database=DATABASE).begin(AT)
    await Adoption(store, database=DATABASE).store(PLAN, begun, lambda _done, _total: None)
    documents = sample(12)
    documents["tasks"][2]["title"] = "Changed by the old service"
    renewed = planned(documents, duplicates(), malformed())

    assert await adopt(store, renewed) == 1

    id = str(task_id(2))
    held = (await store.fetch("tasks", [id]))[id]
    assert (held["title"], held["version"]) == ("Changed by the old service", 4)
    entries = [
        one for one in await store.scan("audit_logs", after=None, limit=5_000) if one["entityId"] == id
    ]
    assert sorted(one["version"] for one in entries) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("collection", "id", "of", "name"),
    [
        ("tasks", task_id(2), "tasks", str(task_id(2))),
        ("users", user_id(4), "users", str(user_id(4))),
        ("teams", team_id(1), "teams", str(team_id(1))),
        ("labels", label_id(1), "labels", str(label_id(1))),
    ],
)
async def test_a_document_that_was_removed_during_an_interruption_does_not_live_on(
    collection: str, id: object, of: str, name: str
) -> None:
    store = MemoryRecordStore()
    await interrupted(store, planned(sample(12)))
    plan = planned(without(sample(12), collection, id))
    begun = await Adoption(store, database=DATABASE).begin(AT)
    unread = await Adoption(store, database=DATABASE).differences(plan, begun)
    assert any(f"{of} {name} is stored, but its document is gone" in one for one in unread)

    await adopt(store, plan)

    (held,) = (await store.fetch(of, [name])).values()
    assert is_tombstone(held)
    versions = [one["version"] for one in await entries_about(store, name)]
    assert versions == list(range(1, held["version"] + 1))
    assert (await entries_about(store, name))[-1]["action"] == Action.PURGED
    await adopt(store, plan)


async def test_a_document_that_is_damaged_during_an_interruption_is_only_in_quarantine() -> None:
    store = MemoryRecordStore()
    await interrupted(store, planned(sample(12)))
    documents = sample(12)
    del documents["tasks"][2]["title"]

    await adopt(store, planned(documents))

    id = str(task_id(2))
    assert is_tombstone((await store.fetch("tasks", [id]))[id])
    assert await quarantined_in(store) == {id}


async def test_a_document_that_comes_back_before_the_adoption_is_complete_is_taken_over() -> None:
    store, id = MemoryRecordStore(), str(task_id(2))
    await interrupted(store, planned(sample(12)))
    await interrupted(store, planned(without(sample(12), "tasks", task_id(2))))

    await adopt(store, planned(sample(12)))

    title = sample(12)["tasks"][2]["title"]
    assert (await store.fetch("tasks", [id]))[id]["title"] == title
    tasks: StoredRepository[Any] = StoredTasks(store, Pending())
    assert [(await tasks.at_version(id, number)).title for number in (1, 2, 3)] == [title] * 3


async def test_an_account_that_was_made_again_during_an_interruption_gets_its_address() -> None:
    store, again = MemoryRecordStore(), ObjectId("65e58d900000000100000777")
    await interrupted(store, planned(sample(12)))
    documents = without(sample(12), "users", user_id(5))
    user = {**sample(12)["users"][5], "_id": again}

    await adopt(store, planned(documents, {"users": [user]}))

    assert (await store.fetch("users", [str(again)]))[str(again)]["email"] == "fay.garcia@example.com"


EVENTS = {
    "audit_logs": [
        {
            "_id": ObjectId(f"65e58d900000000800000{number}"),
            "task_id": malformed()["tasks"][1]["_id"],
            "action": "status_changed",
        }
        for number in (777, 778)
    ]
}


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_corrected_document_with_a_history_is_taken_over_above_it(is_done: bool) -> None:
    broken, store = malformed(), MemoryRecordStore()
    id = str(broken["tasks"][1]["_id"])
    before = planned(sample(12), broken, EVENTS)
    await (adopt(store, before) if is_done else interrupted(store, before))
    assert [one["version"] for one in await entries_about(store, id)] == [1, 2]
    broken["tasks"][1]["title"] = "Now it has one"

    # One event of the two is gone by now, and a third has happened.
    third = {**EVENTS["audit_logs"][0], "_id": ObjectId("65e58d900000000800000779")}
    await adopt(store, planned(sample(12), broken, {"audit_logs": [EVENTS["audit_logs"][1], third]}))

    assert (await store.fetch("tasks", [id]))[id]["version"] == 4
    assert [one["version"] for one in await entries_about(store, id)] == [1, 2, 3, 4]
    tasks: StoredRepository[Any] = StoredTasks(store, Pending())
    assert (await tasks.at_version(id, 1)).title == "Now it has one"


async def test_history_that_comes_after_its_record_was_removed_is_stored() -> None:
    store, id = MemoryRecordStore(), str(task_id(2))
    event = {**EVENTS["audit_logs"][0], "task_id": task_id(2)}
    await interrupted(store, planned(sample(12)))
    plan = planned(without(sample(12), "tasks", task_id(2)), {"audit_logs": [event]})
    await interrupted(store, plan)
    await adopt(store, planned(sample(12), {"audit_logs": [event]}))

    assert [one["version"] for one in await entries_about(store, id)] == [1, 2, 3, 4, 5, 6]
    assert (await store.fetch("tasks", [id]))[id]["version"] == 6


async def test_a_correction_that_dies_anywhere_ends_as_one_that_does_not() -> None:
    broken = malformed()
    broken["tasks"][1]["title"] = "Now it has one"
    renewed = planned(sample(12), duplicates(), broken)
    whole = MemoryRecordStore()
    await adopt(whole)
    adopted = whole.snapshot()
    await adopt(whole, renewed)
    expected, interruptions = await contents(whole), 0
    for lives in range(10):
        for is_stored in (False, True):
            store = MemoryRecordStore()
            store.put_back(adopted)
            try:
                await adopt(DyingStore(store, lives=lives, is_stored=is_stored), renewed)
            except StoreUnavailable:
                interruptions += 1
                await adopt(store, renewed)
            assert await contents(store) == expected
    assert interruptions > 0
    assert str(broken["tasks"][1]["_id"]) not in await quarantined_in(whole)
