"""The comparison that the crash tests rest on finds what it is there to find."""

from collections.abc import Callable
from copy import deepcopy

import httpx
import pytest

from adapters.records.record import VERSION
from adapters.records.specs import AUDIT_LOGS, TASKS
from domain.audit import SyncStatus
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.store_comparison import (
    COLLECTIONS,
    Contents,
    Stores,
    attempted,
    differences,
    require_sound,
    shown,
)
from tests.unit.contracts.builders import entry, numbered_id, put, task

TASK = numbered_id(1)
TITLE = "Task 1"


def _contents() -> Contents:
    """One task at version 2 with both of its entries, all mirrored."""
    contents: Contents = {collection: {} for collection in COLLECTIONS}
    contents["tasks"][TASK] = task(1, version=2)
    for version in (1, 2):
        recorded = entry(put("tasks", task(1, version=version)), syncStatus=SyncStatus.SYNCED.value)
        contents[AUDIT_LOGS.collection][recorded["id"]] = recorded
    return contents


def _answer(version: int, *, title: str = TITLE) -> httpx.Response:
    entity = TASKS.mapping.from_record(task(1, version=version, title=title))
    return httpx.Response(
        200,
        content=shown(entity),
        headers={"etag": f'"{version}"'},
        request=httpx.Request("PATCH", f"http://127.0.0.1/v1/tasks/{TASK}"),
    )


@pytest.fixture
def stores() -> Stores:
    return Stores(_contents(), _contents())


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    for version in (1, 2):
        ledger.note("tasks", _answer(version))
    return ledger


def _entry_of(contents: Contents, version: int) -> str:
    entries = contents[AUDIT_LOGS.collection].values()
    return next(str(recorded["id"]) for recorded in entries if recorded[VERSION] == version)


def _lose_record(stores: Stores) -> None:
    del stores.target["tasks"][TASK]


def _alter_field(stores: Stores) -> None:
    stores.target["tasks"][TASK]["title"] = "another"


def _leave_pending(stores: Stores) -> None:
    recorded = stores.source[AUDIT_LOGS.collection][_entry_of(stores.source, 2)]
    recorded["syncStatus"] = SyncStatus.PENDING.value


def _leave_gap(stores: Stores) -> None:
    for contents in (stores.source, stores.target):
        del contents[AUDIT_LOGS.collection][_entry_of(contents, 1)]


def _double_entry(stores: Stores) -> None:
    for contents in (stores.source, stores.target):
        recorded = deepcopy(contents[AUDIT_LOGS.collection][_entry_of(contents, 2)])
        contents[AUDIT_LOGS.collection][numbered_id(9)] = {**recorded, "id": numbered_id(9)}


def _alter_both(stores: Stores) -> None:
    for contents in (stores.source, stores.target):
        contents["tasks"][TASK]["title"] = "another"


def _lose_last_version(stores: Stores) -> None:
    for contents in (stores.source, stores.target):
        contents["tasks"][TASK][VERSION] = 1
        del contents[AUDIT_LOGS.collection][_entry_of(contents, 2)]


def _lose_everything_of_it(stores: Stores) -> None:
    for contents in (stores.source, stores.target):
        del contents["tasks"][TASK]
        other = entry(put("tasks", task(2)), syncStatus=SyncStatus.SYNCED.value)
        contents["tasks"][numbered_id(2)] = task(2)
        contents[AUDIT_LOGS.collection] = {other["id"]: other}


DAMAGES: dict[str, tuple[Callable[[Stores], None], str]] = {
    "record only in one store": (_lose_record, "is only in the source"),
    "another value in one store": (_alter_field, "differs in title"),
    "entry still pending": (_leave_pending, "is PENDING"),
    "version without an entry": (_leave_gap, r"at version 2 with entries for \[2\]"),
    "version with two entries": (_double_entry, r"entries for \[1, 2, 2\]"),
    "acknowledged content altered": (_alter_both, "title was acknowledged as 'Task 1', is 'another'"),
    "acknowledged version lost": (_lose_last_version, "version 2 was acknowledged and has no entry"),
    "acknowledged record lost": (_lose_everything_of_it, "was acknowledged and is missing"),
}


def test_stores_that_agree_and_hold_everything_pass(stores: Stores, ledger: Ledger) -> None:
    require_sound(stores, ledger)


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_kind_of_damage_is_found_and_named(damage: str, stores: Stores, ledger: Ledger) -> None:
    inflict, words = DAMAGES[damage]
    inflict(stores)
    with pytest.raises(AssertionError, match=words):
        require_sound(stores, ledger)


def test_a_write_carried_out_twice_is_found(stores: Stores) -> None:
    """Two versions where one was acknowledged."""
    ledger = Ledger()
    ledger.note("tasks", _answer(1))
    with pytest.raises(AssertionError, match="version was acknowledged as 1, is 2"):
        require_sound(stores, ledger)


def test_what_a_store_says_of_its_own_copy_makes_no_difference(stores: Stores) -> None:
    stores.target[AUDIT_LOGS.collection][_entry_of(stores.target, 2)]["syncAttempts"] = 3
    assert not list(differences(stores))
    assert list(attempted(stores.target)) != []


def test_empty_stores_prove_nothing() -> None:
    empty: Contents = {collection: {} for collection in COLLECTIONS}
    with pytest.raises(AssertionError, match="nothing was written"):
        require_sound(Stores(empty, empty), Ledger())


def test_one_version_answered_in_two_ways_is_noticed(ledger: Ledger) -> None:
    with pytest.raises(AssertionError, match="was answered in two ways"):
        ledger.note("tasks", _answer(2, title="another"))
