"""Faults of MongoDB (errors, outages, freezes, lost replies) and how the store handles them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bson.objectid import ObjectId
from pymongo import MongoClient

from adapters.mongo.documents import to_document
from adapters.mongo.record_store import MongoRecordStore
from adapters.records.change_set import Rejection
from adapters.records.isolation import apply_each
from adapters.records.lanes import LaneLost
from adapters.records.record_store import StoreRefused
from domain.errors import RuleBroken, StoreUnavailable, VersionConflict
from tests.integration.mongo_proxy import MongoProxy
from tests.servers.mongo import MongoDatabase, StandInMongoServer, start_secantus
from tests.servers.processes import free_port
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    entry_id,
    fetched,
    label,
    numbered_id,
    put,
    same,
    task,
)
from tests.unit.contracts.lanes import admitted

DATABASE = "tandem_faults"
TIMEOUT_MS = 1_500
MARGIN_SECONDS = 2.0
"""What a busy machine may add to a time-out before a test calls it late."""


@pytest.fixture
def durable_server(data_directory: Path) -> Iterator[StandInMongoServer]:
    """A stand-in that keeps what it acknowledged when it is killed.

    MongoDB does so because the commit asks for the journal; secantusdb heeds that for single writes only, and for
    transactions when it is told to at start.
    """
    server = start_secantus(data_directory, is_durable=True)
    yield server
    server.close()


@pytest.fixture
async def durable_store(durable_server: StandInMongoServer) -> AsyncIterator[MongoRecordStore]:
    """A prepared store on a server that survives being killed."""
    async for store in _prepared(durable_server):
        yield store


@pytest.fixture
async def store(own_mongo_server: StandInMongoServer) -> AsyncIterator[MongoRecordStore]:
    """A prepared store on a server that may be harmed."""
    async for store in _prepared(own_mongo_server):
        yield store


@pytest.fixture
async def proxy(durable_server: StandInMongoServer) -> AsyncIterator[MongoProxy]:
    """A way to the server that can lose answers."""
    proxy = MongoProxy(durable_server.server.port)
    await proxy.open()
    yield proxy
    await proxy.close()


@pytest.fixture
async def proxied_store(
    durable_store: MongoRecordStore, proxy: MongoProxy
) -> AsyncIterator[MongoRecordStore]:
    """A store that reaches the server through the proxy only."""
    proxied = MongoRecordStore(
        f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true", DATABASE, timeout_ms=20_000
    )
    await proxied.open()
    yield proxied
    await proxied.close()


async def test_a_standalone_server_is_rejected_with_a_remedy(
    standalone_mongo_server: StandInMongoServer,
) -> None:
    store = MongoRecordStore(standalone_mongo_server.uri, DATABASE)
    with pytest.raises(StoreRefused, match=r"mongod --replSet rs0.*rs\.initiate\(\)"):
        await store.open()
    with pytest.raises(StoreUnavailable):
        await store.fetch("tasks", [numbered_id(1)])
    await store.close()


@pytest.mark.parametrize("uri", ["postgres://127.0.0.1/x", "mongodb://", "mongodb://127.0.0.1:99999/"])
async def test_an_invalid_uri_is_rejected_without_being_shown(uri: str) -> None:
    with pytest.raises(StoreRefused) as refused:
        await MongoRecordStore(uri, DATABASE, timeout_ms=500).open()
    assert "MONGODB_URI" in str(refused.value)
    assert uri not in str(refused.value)


async def test_a_server_that_is_not_there_is_unavailable_in_time() -> None:
    store = MongoRecordStore(f"mongodb://127.0.0.1:{free_port()}", DATABASE, timeout_ms=300)
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.open()
    assert time.monotonic() - started < 0.3 + MARGIN_SECONDS
    await store.close()


async def test_a_closed_store_is_unavailable_and_can_be_opened_again(mongo_database: MongoDatabase) -> None:
    store = MongoRecordStore(mongo_database.uri, mongo_database.name)
    await store.open()
    await store.prepare()
    await commit_all(store, "tasks", task(1))
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.commit(change_set(put("tasks", task(2))))
    await store.open()
    assert same(await store.scan("tasks", after=None, limit=9), [task(1)])
    await store.close()


async def test_a_frozen_server_is_unavailable_in_time_and_answers_when_it_thaws(
    store: MongoRecordStore, own_mongo_server: StandInMongoServer
) -> None:
    await commit_all(store, "tasks", task(1))
    own_mongo_server.server.freeze()
    started = time.monotonic()
    refused = await asyncio.gather(
        store.ping(),
        store.fetch("tasks", [numbered_id(1)]),
        store.scan("tasks", after=None, limit=9),
        store.apply([change_set(put("tasks", task(3)))]),
        store.commit(change_set(put("tasks", task(1, version=2)))),
        return_exceptions=True,
    )
    took = time.monotonic() - started
    own_mongo_server.server.thaw()
    assert [type(one) for one in refused] == [StoreUnavailable] * 5
    assert took < TIMEOUT_MS / 1_000 + MARGIN_SECONDS
    await _answering(store)
    await store.commit(change_set(put("tasks", task(9))))
    assert same(await fetched(store, "tasks", 9), task(9))


async def test_no_acknowledged_commit_is_lost_when_the_server_is_killed(
    durable_store: MongoRecordStore, durable_server: StandInMongoServer
) -> None:
    store = durable_store
    acknowledged: list[int] = []
    failed: list[BaseException] = []
    enough = asyncio.Event()

    async def write(first: int) -> None:
        for number in range(first, first + 500):
            try:
                await store.commit(change_set(put("tasks", task(number)), put("labels", label(number))))
            except StoreUnavailable as error:
                failed.append(error)
                return
            acknowledged.append(number)
            if len(acknowledged) >= 20:
                enough.set()

    writers = [asyncio.create_task(write(first)) for first in (1_000, 2_000, 3_000, 4_000)]
    await asyncio.wait_for(enough.wait(), 30)
    await asyncio.to_thread(durable_server.server.kill)
    await asyncio.gather(*writers)
    assert len(failed) == 4
    await asyncio.to_thread(durable_server.server.restart)
    await _answering(store)
    tasks = {record["id"] for record in await store.scan("tasks", after=None, limit=5_000)}
    labels = {record["id"] for record in await store.scan("labels", after=None, limit=5_000)}
    entries = {one["entityId"] for one in await store.scan("audit_logs", after=None, limit=5_000)}
    assert {numbered_id(number) for number in acknowledged} <= tasks
    assert tasks == labels == entries


async def test_a_commit_whose_answer_is_lost_is_acknowledged_once_it_is_known(
    proxied_store: MongoRecordStore, proxy: MongoProxy
) -> None:
    proxy.lose_answer_to(b"commitTransaction")
    await proxied_store.commit(change_set(put("tasks", task(1))))
    assert proxy.lost == 1
    assert same(await fetched(proxied_store, "tasks", 1), task(1))
    with pytest.raises(VersionConflict):
        await proxied_store.commit(change_set(put("tasks", task(1))))


@pytest.mark.parametrize("has_entries", [True, False], ids=["with entries", "without entries"])
async def test_a_commit_is_looked_up_where_the_server_forgot_the_transaction(
    proxied_store: MongoRecordStore,
    proxy: MongoProxy,
    durable_server: StandInMongoServer,
    has_entries: bool,
) -> None:
    proxy.lose_answer_to(b"commitTransaction", then=lambda: _restart(durable_server))
    change = put("tasks", task(1))
    await proxied_store.commit(change_set(change) if has_entries else change_set(change, entries=[]))
    assert proxy.lost == 1
    assert same(await fetched(proxied_store, "tasks", 1), task(1))
    entries = await proxied_store.scan("audit_logs", after=None, limit=9)
    expected = [entry_id("tasks", numbered_id(1), 1)] if has_entries else []
    assert [one["id"] for one in entries] == expected


async def test_a_lane_is_not_used_again_after_a_commit_that_could_still_arrive(
    durable_store: MongoRecordStore,
    proxied_store: MongoRecordStore,
    proxy: MongoProxy,
    durable_server: StandInMongoServer,
) -> None:
    await admitted(proxied_store)
    await proxied_store.commit(change_set(put("tasks", task(2))))
    loop = asyncio.get_running_loop()

    async def store_another() -> None:
        await _answering(durable_store)
        await commit_all(durable_store, "tasks", task(1, title="Another"))

    def crash() -> None:
        _restart(durable_server)
        asyncio.run_coroutine_threadsafe(store_another(), loop).result()

    proxy.lose(b"commitTransaction", then=crash)
    with pytest.raises(VersionConflict):
        await proxied_store.commit(change_set(put("tasks", task(1))))
    assert same(await fetched(proxied_store, "tasks", 1), task(1, title="Another"))
    (lane,) = (await proxied_store.positions()).lanes.values()
    assert (lane.number, lane.is_open) == (1, False)
    stamp = await proxied_store.commit(change_set(put("tasks", task(3))))
    assert stamp is not None
    assert stamp.lane != lane.lane


async def test_a_write_that_replaced_an_old_document_is_acknowledged_where_its_answer_was_lost(
    proxied_store: MongoRecordStore, proxy: MongoProxy, durable_server: StandInMongoServer
) -> None:
    with MongoClient[dict[str, Any]](durable_server.uri) as client:
        old = {**to_document("tasks", task(1)), "_id": ObjectId(numbered_id(1))}
        client[DATABASE].command("collMod", "tasks", validationLevel="off")
        client[DATABASE]["tasks"].insert_one(old)
    # Only an opened store knows of old documents.
    await proxied_store.close()
    await proxied_store.open()
    await admitted(proxied_store)
    await proxied_store.register()
    proxy.lose_answer_to(b"commitTransaction", then=lambda: _restart(durable_server))
    changed = task(1, version=2, title="Changed")
    await proxied_store.commit(change_set(put("tasks", changed)))
    assert proxy.lost == 1
    assert same(await fetched(proxied_store, "tasks", 1), changed)


async def test_an_apply_whose_answer_was_lost_is_left_to_another_lane(
    proxied_store: MongoRecordStore, proxy: MongoProxy, durable_server: StandInMongoServer
) -> None:
    await admitted(proxied_store)
    await proxied_store.register()
    proxy.lose_answer_to(b"commitTransaction", then=lambda: _restart(durable_server))
    with pytest.raises(LaneLost):
        await proxied_store.apply([change_set(put("tasks", task(1)))])
    (lane,) = (await proxied_store.positions()).lanes.values()
    assert (lane.number, lane.is_open) == (1, False)
    await admitted(proxied_store)
    assert await proxied_store.apply([change_set(put("tasks", task(1)))]) == [None]
    assert same(await fetched(proxied_store, "tasks", 1), task(1))


async def test_a_lost_write_is_sent_again(proxied_store: MongoRecordStore, proxy: MongoProxy) -> None:
    proxy.lose_answer_to(b"bulkWrite")
    await proxied_store.commit(change_set(put("tasks", task(1))))
    assert proxy.lost == 1
    assert same(await fetched(proxied_store, "tasks", 1), task(1))


async def test_a_record_beyond_16_megabytes_is_refused(store: MongoRecordStore) -> None:
    huge = change_set(put("tasks", task(1, extra="x" * 17_000_000)))
    with pytest.raises(RuleBroken, match="16 MB"):
        await store.commit(huge)
    outcomes = await apply_each(store.apply, [huge, change_set(put("tasks", task(2)))])
    assert isinstance(outcomes[0], Rejection)
    assert outcomes[1] is None
    assert [record["id"] for record in await store.scan("tasks", after=None, limit=9)] == [numbered_id(2)]


async def _prepared(server: StandInMongoServer) -> AsyncIterator[MongoRecordStore]:
    store = MongoRecordStore(server.uri, DATABASE, timeout_ms=TIMEOUT_MS)
    await store.open()
    await store.prepare()
    yield store
    await store.close()


def _restart(server: StandInMongoServer) -> None:
    server.server.kill()
    server.server.restart()


async def _answering(store: MongoRecordStore) -> None:
    """Waits, for a bounded time, until the store answers again."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(StoreUnavailable):
            return await store.ping()
    pytest.fail("the store did not answer again within 30 seconds")
