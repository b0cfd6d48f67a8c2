"""What two stores hold, compared record by record and against what was acknowledged. Each check names its findings."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import SCAN_MAX, RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS, SPECS, SYNC_FIELDS
from application.tasks.details import TaskDetails
from domain.audit import SyncStatus
from domain.entity import Entity
from domain.task import Task
from entrypoints.http.app import RESOURCES
from entrypoints.http.protocol.answers import encoded
from entrypoints.http.protocol.resource import views_of
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.topologies import Topology

COLLECTIONS = (*(spec.collection for spec in ENTITY_SPECS), AUDIT_LOGS.collection)
FINDINGS_SHOWN_MAX = 10
PAGES_MAX = 1_000
VIEWS = views_of(RESOURCES)

Contents = dict[str, dict[str, Record]]
"""Collection → id → record."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything both stores hold."""

    source: Contents
    target: Contents


async def read_stores(topology: Topology) -> Stores:
    """Both stores of a topology whose processes have ended."""
    return Stores(await read_contents(topology.source()), await read_contents(topology.target()))


async def read_contents(store: RecordStore) -> Contents:
    """Opens a store, reads all its entities and entries, and closes it."""
    await store.open()
    try:
        return await read_open_store(store)
    finally:
        await store.close()


async def read_open_store(store: RecordStore) -> Contents:
    """All entities and entries of a store that is open and stays so."""
    return {collection: await _all_records(store, collection) for collection in COLLECTIONS}


async def _all_records(store: RecordStore, collection: str) -> dict[str, Record]:
    records: dict[str, Record] = {}
    after: str | None = None
    for _ in range(PAGES_MAX):
        page = await store.scan(collection, after=after, limit=SCAN_MAX)
        records.update({record[ID]: record for record in page})
        if len(page) < SCAN_MAX:
            return records
        after = page[-1][ID]
    raise AssertionError(f"{collection} holds more than {PAGES_MAX} pages")


def require_sound(stores: Stores, ledger: Ledger) -> None:
    """Every promise that must hold once everything is mirrored; fails with the first findings by name."""
    assert stores.source[AUDIT_LOGS.collection], "nothing was written, so nothing is proven"
    findings = [
        *differences(stores),
        *undelivered(stores.source),
        *history_faults(stores.source, "source"),
        *history_faults(stores.target, "target"),
        *missing(ledger, stores.source, "source"),
        *missing(ledger, stores.target, "target"),
        *altered(ledger, stores.source, "source"),
        *altered(ledger, stores.target, "target"),
    ]
    first = "\n".join(findings[:FINDINGS_SHOWN_MAX])
    assert not findings, f"{len(findings)} findings:\n{first}"


def differences(stores: Stores) -> Iterator[str]:
    """Records that only one store holds, and fields that differ, but for what a store says of its own copy."""
    for collection in COLLECTIONS:
        source, target = stores.source[collection], stores.target[collection]
        for id_ in sorted(source.keys() | target.keys()):
            if id_ not in source or id_ not in target:
                yield f"{collection} {id_} is only in the {'source' if id_ in source else 'target'}"
                continue
            for name in sorted((source[id_].keys() | target[id_].keys()) - SYNC_FIELDS):
                left, right = source[id_].get(name), target[id_].get(name)
                if left != right:
                    yield f"{collection} {id_} differs in {name}: {left!r} and {right!r}"


def undelivered(contents: Contents) -> Iterator[str]:
    """Entries that are not known to be mirrored."""
    for entry in contents[AUDIT_LOGS.collection].values():
        if entry["syncStatus"] != SyncStatus.SYNCED:
            yield f"entry {entry[ID]} of {entry['collection']} {entry['entityId']} is {entry['syncStatus']}"


def attempted(contents: Contents) -> Iterator[str]:
    """Entries that were counted as failed at least once: an outage never is the record's own fault."""
    for entry in contents[AUDIT_LOGS.collection].values():
        if entry["syncAttempts"]:
            yield f"entry {entry[ID]} has {entry['syncAttempts']} attempts: {entry['syncError']}"


def history_faults(contents: Contents, where: str) -> Iterator[str]:
    """Versions that have two entries or none, and records whose version is not the number of their entries."""
    recorded: dict[tuple[str, str], list[int]] = {}
    for entry in contents[AUDIT_LOGS.collection].values():
        recorded.setdefault((entry["collection"], entry["entityId"]), []).append(entry[VERSION])
    records = {
        (spec.collection, id_): record
        for spec in ENTITY_SPECS
        for id_, record in contents[spec.collection].items()
    }
    for key in sorted(recorded.keys() | records.keys()):
        versions = sorted(recorded.get(key, []))
        current = records[key][VERSION] if key in records else 0
        if versions != list(range(1, current + 1)):
            yield f"{where}: {key[0]} {key[1]} is at version {current} with entries for {versions}"


def missing(ledger: Ledger, contents: Contents, where: str) -> Iterator[str]:
    """Acknowledged versions that have no entry."""
    recorded = {
        (entry["collection"], entry["entityId"], entry[VERSION])
        for entry in contents[AUDIT_LOGS.collection].values()
    }
    for version in ledger.versions():
        if version not in recorded:
            yield f"{where}: {version[0]} {version[1]} version {version[2]} was acknowledged and has no entry"


def shown(entity: Entity) -> bytes:
    """What the service answers to somebody who watches nothing, of a task that is not deferred."""
    if isinstance(entity, Task):
        return encoded(VIEWS.of(TaskDetails(task=entity, in_watchlist=False, is_deferred=False)))
    return encoded(VIEWS.of(entity))


def altered(ledger: Ledger, contents: Contents, where: str) -> Iterator[str]:
    """Records that are not what was acknowledged last.

    Every record here has one writer who gave no request up, so its stored version is its last acknowledged one:
    a higher one would be a request carried out twice.
    """
    for (collection, id_), view in ledger.latest():
        record = contents[collection].get(id_)
        if record is None:
            yield f"{where}: {collection} {id_} was acknowledged and is missing"
            continue
        stored = json.loads(shown(SPECS[collection].mapping.from_record(record)))
        for name, value in stored.items():
            if view[name] != value:
                yield f"{where}: {collection} {id_} {name} was acknowledged as {view[name]!r}, is {value!r}"
