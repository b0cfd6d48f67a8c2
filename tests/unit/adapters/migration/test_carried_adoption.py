"""An adoption is known where the records are: a new owner says of it what the owner before said."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from adapters.migration.carried import DOCUMENTS_AT_ONCE, carried_puts, carry_quarantine
from adapters.records.adoption_state import (
    ADOPTION_ID,
    ADOPTION_QUARANTINE,
    IS_RESOLVED,
    State,
    adopted_in,
    adoption_state,
    noted,
    running_note,
)
from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import read_control, write_control
from adapters.records.record_store import FETCH_MAX, RecordStore
from tests.unit.adapters.migration.pair import Pair, new_pair

AT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
DATABASE = "todo-app"


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as stores:
        yield stores


async def change_owner(owner: RecordStore, successor: RecordStore) -> None:
    """Stores in the successor what it gets before writes wait, and what arms it."""
    await carry_quarantine(owner, successor)
    await successor.commit(ChangeSet(tuple(await carried_puts(owner, successor))))


async def quarantine(store: RecordStore, number: int, *, is_resolved: bool = False) -> str:
    """A document in quarantine; returns the id of its control record."""
    id = f"{ADOPTION_QUARANTINE}tasks:{number}"
    version, _ = await read_control(store, id)
    value = {
        "collection": "tasks",
        "id": str(number),
        "reason": "No.",
        "raw": "{}",
        IS_RESOLVED: is_resolved,
    }
    await write_control(store, id, value, over=version)
    return id


async def test_a_completed_adoption_is_complete_in_the_store_that_was_only_marked(pair: Pair) -> None:
    await pair.target.commit(ChangeSet((Put("control", running_note(DATABASE, AT), 0),)))
    await write_control(pair.source, ADOPTION_ID, noted(DATABASE, State.DONE, AT), over=0)

    await change_owner(pair.source, pair.target)

    assert await adopted_in(pair.target) == await adopted_in(pair.source)
    assert await adoption_state(pair.target) is State.DONE


async def test_an_adoption_that_only_marked_the_new_owner_is_given_up(pair: Pair) -> None:
    await pair.target.commit(ChangeSet((Put("control", running_note(DATABASE, AT), 0),)))

    await change_owner(pair.source, pair.target)

    assert await adoption_state(pair.target) is None


async def test_a_completed_adoption_of_the_new_owner_stays(pair: Pair) -> None:
    await write_control(pair.target, ADOPTION_ID, noted(DATABASE, State.DONE, AT), over=0)

    await change_owner(pair.source, pair.target)

    assert await adoption_state(pair.target) is State.DONE


async def test_documents_in_quarantine_go_with_the_ownership_and_back(pair: Pair) -> None:
    await write_control(pair.source, ADOPTION_ID, noted(DATABASE, State.DONE, AT), over=0)
    ids = [await quarantine(pair.source, number) for number in range(2 * DOCUMENTS_AT_ONCE + 1)]

    await change_owner(pair.source, pair.target)

    assert (await pair.target.fetch("control", ids[-1:]))[ids[-1]]["value"][IS_RESOLVED] is False
    held = {one["id"] for one in await pair.target.scan("control", after=None, limit=FETCH_MAX * 2)}
    assert {*ids, ADOPTION_ID} <= held
    await quarantine(pair.target, 0, is_resolved=True)
    await change_owner(pair.target, pair.source)
    assert (await pair.source.fetch("control", ids[:1]))[ids[0]]["value"][IS_RESOLVED] is True


async def test_documents_that_the_new_owner_holds_already_are_not_sent_again(pair: Pair) -> None:
    id = await quarantine(pair.source, 1)
    await change_owner(pair.source, pair.target)
    await change_owner(pair.source, pair.target)

    assert (await read_control(pair.target, id))[0] == 1


async def test_documents_that_were_taken_over_long_ago_are_not_sent(pair: Pair) -> None:
    id = await quarantine(pair.source, 1, is_resolved=True)
    await change_owner(pair.source, pair.target)

    assert await read_control(pair.target, id) == (0, None)
