"""Every MongoDB operation states its read and write concern, whatever the URI asks for."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from adapters.mongo.record_store import MongoRecordStore
from adapters.records.change_set import DeliveryMark, ReadCheck
from adapters.records.criteria import EVERYTHING
from domain.audit import SyncStatus
from tests.integration.mongo_proxy import MongoProxy
from tests.servers.mongo import MongoDatabase
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    entry_id,
    fetched,
    found_numbers,
    label,
    minutes,
    numbered_id,
    put,
    same,
    task,
)

DURABLE: Final = {"w": "majority", "j": True}
MAJORITY: Final = {"level": "majority"}
READS: Final = {"find", "aggregate", "count", "distinct"}
WRITES: Final = {
    "insert", "update", "delete", "bulkWrite", "findAndModify", "create", "createIndexes", "collMod", "dropIndexes"
}  # fmt: skip
FURTHER: Final = {"getMore"}
"""Goes on with what a command before it began."""
WITHOUT_DATA: Final = {
    "hello", "ismaster", "isMaster", "ping", "buildInfo", "endSessions", "listIndexes", "listCollections",
    "abortTransaction"
}  # fmt: skip
LESS: Final = {
    "nothing": "appName=tandem",
    "one member": "w=1",
    "unacknowledged": "w=0",
    "no journal": "journal=false",
    "a bounded wait": "wTimeoutMS=1",
    "secondaries": "readPreference=secondary",
    "secondaries with tags": "readPreference=secondaryPreferred&readPreferenceTags=dc:far",
    "stale secondaries": "readPreference=nearest&maxStalenessSeconds=120",
    "local reads": "readConcernLevel=local",
    "available reads": "readConcernLevel=available",
    "no retries": "retryWrites=false&retryReads=false",
    "all": "w=1&journal=false&readPreference=secondary&readConcernLevel=local&retryWrites=false&wTimeoutMS=1",
}


@pytest.fixture
async def proxy(mongo_database: MongoDatabase) -> AsyncIterator[MongoProxy]:
    address = mongo_database.uri.removeprefix("mongodb://").partition("/")[0]
    proxy = MongoProxy(int(address.rpartition(":")[2]))
    await proxy.open()
    yield proxy
    await proxy.close()


async def _use(store: MongoRecordStore) -> None:
    """Each operation of a store, once at least."""
    await store.open()
    await store.prepare()
    await store.facts()
    await commit_all(store, "tasks", task(1), task(2))
    check = ReadCheck("tasks", numbered_id(2), 1)
    changes = change_set(put("tasks", task(1, version=2)))
    await store.commit(type(changes)(changes.puts, changes.entries, read_checks=(check,)))
    mirrored = [change_set(put("labels", label(3))), change_set(put("tasks", task(4)))]
    assert await store.apply(mirrored) == [None, None]
    delivered = DeliveryMark(
        entry_id=entry_id("tasks", numbered_id(1), 2), status=SyncStatus.SYNCED, at=minutes(1), attempts=1
    )
    await store.mark([delivered])
    await store.positions()
    await store.cut({7: 1})
    await store.lower({7: 1})
    assert same(await fetched(store, "tasks", 1), task(1, version=2))
    assert await found_numbers(store, "tasks") == [1, 2, 4]
    assert await store.count("tasks", EVERYTHING) == 3
    assert len(await store.scan("tasks", after=None, limit=10)) == 3
    assert len(await store.formats("tasks", after=None, limit=10)) == 3
    await store.rewrite("tasks", [numbered_id(1)])
    await store.close()


def _concerns(command: dict[str, Any]) -> dict[str, Any]:
    """What a command says of its concerns; a transaction states them in its first command, if that is a read, and in
    its last one.
    """
    name = next(iter(command))
    if "txnNumber" in command and command.get("autocommit") is False:
        if name == "commitTransaction":
            return {"write": command["writeConcern"]}
        is_read_first = name in READS and command.get("startTransaction")
        return {"read": command["readConcern"]} if is_read_first else {}
    if name in READS:
        return {"read": command["readConcern"]}
    if name in WRITES:
        return {"write": command["writeConcern"]}
    assert name in {*FURTHER, *WITHOUT_DATA}, command
    return {}


@pytest.mark.parametrize("less", LESS.values(), ids=LESS)
async def test_every_operation_states_its_concerns_and_asks_the_primary(
    mongo_database: MongoDatabase, proxy: MongoProxy, less: str
) -> None:
    uri = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true&{less}"
    await _use(MongoRecordStore(uri, mongo_database.name, timeout_ms=30_000))
    stated = [_concerns(command) for command in proxy.commands]
    reads = {one["read"]["level"] for one in stated if "read" in one}
    assert {"majority"} <= reads <= {"majority", "snapshot"}
    writes = [one["write"] for one in stated if "write" in one]
    assert len(writes) >= 5
    assert all(each == DURABLE for each in writes)

    modes = {command["$readPreference"]["mode"] for command in proxy.commands if "$readPreference" in command}
    assert modes <= {"primary", "primaryPreferred"}
    assert [command for command in proxy.commands if "update" in command and "lsid" in command]
    retryable = [one for one in proxy.commands if "update" in one and one.get("autocommit") is not False]
    assert retryable
    assert all("txnNumber" in one for one in retryable)
