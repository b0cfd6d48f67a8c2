"""What somebody removed from a MongoDB database, or added to it, is found; what is missing is made anew."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from adapters.mongo.record_store import MongoRecordStore
from adapters.mongo.validators import validator_of
from adapters.records.record_store import StoreRefused
from adapters.records.revisions import Examined, flaws_of
from adapters.records.spec_digest import expected_digest
from adapters.records.specs import LABELS
from application.ports.schema import FlawEffect
from domain.errors import AlreadyExists, StoreUnavailable
from entrypoints.composition.schema import bring_up
from tests.servers.mongo import MongoDatabase
from tests.unit.contracts.builders import change_set, label, put

Raw = Database[dict[str, Any]]
Alter = Callable[[Raw], object]
UNIQUE = "labels_name"
SLOW = "tasks_created"


@pytest.fixture
async def store(mongo_database: MongoDatabase) -> AsyncIterator[MongoRecordStore]:
    """A store that was brought up to this program's schema."""
    store = MongoRecordStore(mongo_database.uri, mongo_database.name)
    await store.open()
    await bring_up(store)
    yield store
    await store.close()


@pytest.fixture
def raw(mongo_database: MongoDatabase) -> Any:
    """The database as another program sees it."""
    with MongoClient[dict[str, Any]](mongo_database.uri) as client:
        yield client[mongo_database.name]


def _changed(raw: Raw, **options: Any) -> None:
    """The unique key of labels with other options."""
    made = raw.labels.index_information()[UNIQUE]
    kept = {name: made[name] for name in ("unique", "partialFilterExpression")} | options
    raw.labels.drop_index(UNIQUE)
    used = {name: value for name, value in kept.items() if value is not None}
    raw.labels.create_index(made["key"], name=UNIQUE, **used)


ALTERED: dict[str, tuple[Alter, str]] = {
    "dropped": (
        lambda raw: raw.labels.drop_index(UNIQUE),
        f"unique key {UNIQUE} of the collection labels is missing",
    ),
    "all dropped": (
        lambda raw: raw.users.drop_indexes(),
        "unique key users_email of the collection users is missing",
    ),
    "not unique": (
        lambda raw: _changed(raw, unique=None),
        f"unique key {UNIQUE} of the collection labels is another",
    ),
    "of fewer documents": (
        lambda raw: _changed(raw, partialFilterExpression={"name": "A"}),
        f"unique key {UNIQUE} of the collection labels is another one",
    ),
    "of all documents": (
        lambda raw: _changed(raw, partialFilterExpression=None),
        f"unique key {UNIQUE} of the collection labels is another one",
    ),
    "without validator": (
        lambda raw: raw.command("collMod", "labels", validator={}),
        "validator of the collection labels is missing",
    ),
    "other validator": (
        lambda raw: raw.command("collMod", "labels", validator={"name": {"$regex": "^Q"}}),
        "validator of the collection labels is another one",
    ),
    "validator that only warns": (
        lambda raw: raw.command("collMod", "labels", validator=validator_of(LABELS), validationAction="warn"),
        "validator of the collection labels does not reject documents",
    ),
    "collection dropped": (lambda raw: raw.drop_collection("labels"), "collection labels is missing"),
}


async def test_a_database_that_nobody_changed_has_no_flaws(store: MongoRecordStore) -> None:
    assert isinstance(store, Examined)
    assert await flaws_of(store) == []


async def test_a_database_of_another_revision_has_none_to_name(store: MongoRecordStore, raw: Raw) -> None:
    raw.labels.drop_indexes()
    raw.control.update_one({"_id": "schema"}, {"$set": {"value.revision": expected_digest()[::-1]}})
    assert list(await flaws_of(store)) == []


@pytest.mark.parametrize(("alter", "named"), ALTERED.values(), ids=list(ALTERED))
async def test_what_was_removed_or_changed_is_named_and_made_anew(
    store: MongoRecordStore, raw: Raw, alter: Alter, named: str
) -> None:
    alter(raw)
    flaws = await flaws_of(store)
    assert any(named in flaw.cause for flaw in flaws), flaws
    assert flaws[0].effect is FlawEffect.UNSAFE
    assert "tandem migrate up" in flaws[0].remedy
    await store.restore_parts()
    assert await flaws_of(store) == []


async def test_an_index_that_only_makes_questions_fast_is_slow_when_it_is_gone(
    store: MongoRecordStore, raw: Raw
) -> None:
    raw.tasks.drop_index(SLOW)
    (flaw,) = await flaws_of(store)
    assert (flaw.effect, SLOW in flaw.cause) == (FlawEffect.SLOW, True)
    await store.restore_parts()
    assert SLOW in raw.tasks.index_information()


async def test_an_index_that_was_renamed_still_does_its_work(store: MongoRecordStore, raw: Raw) -> None:
    made = raw.labels.index_information()[UNIQUE]
    raw.labels.drop_index(UNIQUE)
    kept = {name: made[name] for name in ("unique", "partialFilterExpression")}
    raw.labels.create_index(made["key"], name="renamed", **kept)
    assert await flaws_of(store) == []
    await store.restore_parts()


@pytest.mark.parametrize(
    "options", [{"unique": True}, {"expireAfterSeconds": 60}], ids=["unique", "expiring"]
)
async def test_an_index_made_by_hand_that_touches_documents_is_named_with_its_end(
    store: MongoRecordStore, raw: Raw, options: dict[str, Any]
) -> None:
    raw.labels.create_index([("updatedAt", 1)], name="by_hand", **options)
    (flaw,) = await flaws_of(store)
    assert (flaw.effect, "index by_hand of the collection labels" in flaw.cause) == (FlawEffect.UNSAFE, True)
    assert 'db.getCollection("labels").dropIndex("by_hand")' in flaw.remedy
    await store.restore_parts()
    assert "by_hand" in raw.labels.index_information()


async def test_an_index_of_others_that_only_answers_questions_is_no_flaw(
    store: MongoRecordStore, raw: Raw
) -> None:
    raw.labels.create_index([("color", 1)], name="by_hand")
    assert await flaws_of(store) == []


async def test_duplicates_in_the_way_are_named_and_the_remedy_works(
    store: MongoRecordStore, raw: Raw, mongo_database: MongoDatabase
) -> None:
    raw.labels.drop_index(UNIQUE)
    raw.tasks.drop_index(SLOW)
    first, second, third = label(1), {**label(1), "id": label(2)["id"]}, label(3)
    for record in (first, second, third):
        await store.commit(change_set(put("labels", record)))

    for again in (store.restore_parts, store.prepare):
        with pytest.raises(StoreRefused) as refused:
            await again()
        said = str(refused.value)
        assert f"{UNIQUE} of the collection labels" in said
        assert f"{first['id']}, {second['id']}" in said
        assert third["id"] not in said
        assert f'db.getCollection("labels").deleteOne({{_id: "{second["id"]}"}})' in refused.value.remedy
    assert SLOW in raw.tasks.index_information()

    raw.labels.delete_one({"_id": second["id"]})
    await store.restore_parts()
    assert await flaws_of(store) == []


async def test_duplicates_leave_a_changed_key_as_it_is(store: MongoRecordStore, raw: Raw) -> None:
    _changed(raw, unique=None)
    for record in (label(1), {**label(1), "id": label(2)["id"]}):
        await store.commit(change_set(put("labels", record)))
    with pytest.raises(StoreRefused):
        await store.restore_parts()
    assert UNIQUE in raw.labels.index_information()


async def test_a_unique_index_made_by_hand_is_not_the_callers_fault(
    store: MongoRecordStore, raw: Raw
) -> None:
    raw.labels.create_index([("color", 1)], name="by_hand", unique=True)
    await store.commit(change_set(put("labels", label(1))))
    with pytest.raises(StoreUnavailable) as rejected:
        await store.commit(change_set(put("labels", {**label(2), "color": label(1)["color"]})))
    said = rejected.value.message
    assert ("by_hand" in said, "labels" in said, 'dropIndex("by_hand")' in said) == (True, True, True)
    assert raw.labels.count_documents({}) == 1


async def test_a_validator_made_by_hand_is_not_the_callers_fault(store: MongoRecordStore, raw: Raw) -> None:
    raw.command("collMod", "labels", validator={"name": {"$regex": "^Q"}})
    with pytest.raises(StoreUnavailable) as rejected:
        await store.commit(change_set(put("labels", label(1, name="Zed"))))
    said = rejected.value.message
    assert ("validator of the collection labels" in said, "tandem migrate up" in said) == (True, True)
    await store.restore_parts()
    await store.commit(change_set(put("labels", label(1, name="Zed"))))


@pytest.mark.parametrize("is_renamed", [False, True])
async def test_a_value_of_a_key_of_tandem_is_taken_whatever_the_name_of_its_index(
    store: MongoRecordStore, raw: Raw, *, is_renamed: bool
) -> None:
    if is_renamed:
        made = raw.labels.index_information()[UNIQUE]
        raw.labels.drop_index(UNIQUE)
        kept = {name: made[name] for name in ("unique", "partialFilterExpression")}
        raw.labels.create_index(made["key"], name="renamed", **kept)
    await store.commit(change_set(put("labels", label(1))))
    with pytest.raises(AlreadyExists):
        await store.commit(change_set(put("labels", {**label(1), "id": label(2)["id"]})))
