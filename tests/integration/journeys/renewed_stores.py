"""Real stores that hold the world of docs/permissions.md, and hold it again after somebody has changed it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from pymongo import AsyncMongoClient

from adapters.postgres.tables import TABLES
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL, SPECS, SYNC_FIELDS
from adapters.records.wrapped_store import WrappedStore
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.store_stack import StoreStack
from tests.integration.crash.store_comparison import Contents, read_open_store
from tests.servers.tables import EMPTYING
from tests.unit.entrypoints.http.permission_world import make_world

OPEN_SECONDS_MAX = 30.0

Documents = dict[str, list[dict[str, Any]]]


class ExchangedStore(WrappedStore):
    """One store after the other, for an application that is made once."""

    def exchange(self, inner: RecordStore) -> None:
        """From now on every request goes to this one."""
        self._inner = inner


@dataclass(slots=True)
class RenewedStores:
    """The stores of one mode. MontyDB in memory is made anew each time; a server alone gets back what it held."""

    variables: Mapping[str, str]
    mode: str
    stack: StoreStack | None = field(default=None, init=False)
    documents: Documents = field(default_factory=dict, init=False)

    async def renew(self) -> RecordStore:
        """The store that requests use, holding the world as it was first."""
        if self.stack is not None and self.mode in ("mongo", "postgres"):
            await self._put_back()
            return self.stack.store
        await self.close()
        if self.mode == "monty-to-postgres":
            await _empty_tables(self.variables["POSTGRES_URL"])
        settings = read_settings({**self.variables, "MONTY_STORAGE": "memory"})
        self.stack = build_container(settings).stack()
        await self.stack.open(within_seconds=OPEN_SECONDS_MAX)
        await make_world(self.stack.store)
        await self._keep()
        return self.stack.store

    async def contents(self) -> list[Contents]:
        """What each store holds, the source first, but for how far mirroring it has come."""
        assert self.stack is not None
        return [without_sync(await read_open_store(store)) for store in self.stack.raw_stores]

    async def close(self) -> None:
        """Lets go of the stores. Harmless when nothing is open."""
        if self.stack is not None:
            await self.stack.close()
            self.stack = None

    async def _keep(self) -> None:
        if self.mode == "mongo":
            self.documents = await _read_documents(self.variables["MONGODB_URI"], self.variables["DB_NAME"])
        elif self.mode == "postgres":
            await _keep_rows(self.variables["POSTGRES_URL"])

    async def _put_back(self) -> None:
        if self.mode == "mongo":
            uri, database = self.variables["MONGODB_URI"], self.variables["DB_NAME"]
            await _replace_documents(uri, database, self.documents)
        else:
            await _put_rows_back(self.variables["POSTGRES_URL"])


def without_sync(contents: Contents) -> Contents:
    """The same, without what entries say of their own mirroring."""
    return {
        collection: {
            id_: {name: value for name, value in record.items() if name not in SYNC_FIELDS}
            for id_, record in records.items()
        }
        for collection, records in contents.items()
    }


async def _read_documents(uri: str, database: str) -> Documents:
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        return {name: await client[database][name].find().to_list() for name in SPECS}


async def _replace_documents(uri: str, database: str, documents: Documents) -> None:
    """Removes what is new, and puts back what is another: a stand-in takes a second to insert them all."""
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        for name, kept in documents.items():
            collection = client[database][name]
            found = await collection.find().to_list()
            others = [document for document in found if document not in kept]
            if others:
                await collection.delete_many({"_id": {"$in": [document["_id"] for document in others]}})
            lost = [document for document in kept if document not in found]
            if lost:
                await collection.insert_many(lost)


async def _empty_tables(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = await connection.execute("SELECT to_regclass(%s)", (TABLES[CONTROL.collection].name,))
        if await found.fetchone() == (None,):
            return
        await connection.execute(EMPTYING)


async def _keep_rows(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for table in TABLES.values():
            await connection.execute(f"CREATE TABLE kept_{table.name} AS TABLE {table.name}")


async def _put_rows_back(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for table in TABLES.values():
            columns = ", ".join(column.name for column in table.columns if column.computed is None)
            await connection.execute(f"DELETE FROM {table.name}")
            await connection.execute(
                f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM kept_{table.name}"
            )
