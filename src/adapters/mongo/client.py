"""One connection pool to one MongoDB deployment, with every timeout and bound spelled out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any

import pymongo
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from bson.int64 import Int64
from bson.objectid import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from adapters.mongo.adopted_database import TandemDatabase, require_own
from adapters.mongo.documents import Document
from adapters.mongo.errors import translated
from adapters.mongo.sessions import Sessions
from adapters.records.cancellation import heeding_cancellation
from adapters.records.record_store import NotOpen, StoreRefused

WRITE_SECONDS = 0.02
TRANSACTION_SECONDS_MAX = 55.0
"""MongoDB itself ends transactions after a minute."""
CONNECT_MS_MAX = 2_000
IDLE_MS_MAX = 300_000
CONNECTING_MAX = 4
PING_SECONDS = 1.4
"""Long enough for a new connection with 0.4 s to the server; probes wait 2 s for it and the schema."""
CLOSED = "The connection to MongoDB is closed."
BULK_WRITE_WIRE_VERSION = 25
"""MongoDB 8.0, since which one command can write to several collections."""

DURABLE = WriteConcern(w="majority", j=True)
"""Every write: no failover and no power cut takes back what was acknowledged."""
MAJORITY = ReadConcern("majority")
"""Every read, also of lists: what the service shows and decides on is never rolled back. It costs nothing on the
primary, whose acknowledged writes have a majority already.
"""
SNAPSHOT = ReadConcern("snapshot")
"""A transaction that reads several documents and decides on all of them."""
UNREAD = ReadConcern()
"""A transaction that only writes. A state without a majority cannot be overwritten, because the commit itself waits for
a majority, and `bulkWrite` takes no read concern on every server.
"""

STANDALONE = (
    "This MongoDB server is standalone, and a change set needs a transaction, which only a replica set has. One node "
    "is enough: start it with `mongod --replSet rs0 --dbpath <its data>`, then run once: "
    "`mongosh --eval 'rs.initiate()'`."
)


class PlainIntegers(TypeDecoder):
    """Decodes wide integers as `int`, because other libraries reject pymongo's subclass as a JSON value."""

    bson_type = Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)


class PlainIds(TypeDecoder):
    """Decodes ObjectIds as their 24 digits: ids in records are text everywhere."""

    bson_type = ObjectId

    def transform_bson(self, value: Any) -> str:
        return str(value)


CODEC: CodecOptions[Document] = CodecOptions(
    document_class=dict,
    tz_aware=True,
    tzinfo=UTC,
    uuid_representation=UuidRepresentation.STANDARD,
    type_registry=TypeRegistry([PlainIntegers(), PlainIds()]),
)


def new_client(uri: str, *, timeout_ms: int, pool_max: int) -> AsyncMongoClient[Document]:
    """A client with majority, journaled writes and majority reads, and a timeout for every wait.

    TLS, credentials and hosts come from the URI (`mongodb+srv` included). Raises pymongo's errors for an invalid URI.
    """
    return AsyncMongoClient(
        uri,
        appname="tandem",
        timeoutMS=timeout_ms,
        serverSelectionTimeoutMS=timeout_ms,
        connectTimeoutMS=min(timeout_ms, CONNECT_MS_MAX),
        socketTimeoutMS=timeout_ms,
        waitQueueTimeoutMS=timeout_ms,
        maxPoolSize=pool_max,
        minPoolSize=0,
        maxIdleTimeMS=IDLE_MS_MAX,
        maxConnecting=CONNECTING_MAX,
        # One monitoring connection instead of two: the calls themselves report failures.
        serverMonitoringMode="poll",
        retryReads=True,
        retryWrites=True,
        w="majority",
        journal=True,
        readConcernLevel="majority",
    )


class MongoConnection:
    """The open client and the number of calls that use it: closing waits for them."""

    def __init__(self, uri: str, database: str, *, timeout_ms: int, pool_max: int) -> None:
        self._uri = uri
        self._database_name = database
        self._timeout_ms = timeout_ms
        self._pool_max = pool_max
        self._client: AsyncMongoClient[Document] | None = None
        self._sessions: Sessions | None = None
        self._prefix = ""
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.has_bulk_write = False

    async def open(self) -> None:
        """Connects. Harmless when done already. Raises StoreRefused for a server without transactions."""
        if self._client is not None:
            return
        with translated():
            client = self._new_client()
            try:
                hello = await client.admin.command("hello")
                require_transactions(hello)
                names = await client[self._database_name].list_collection_names()
                self._prefix = require_own(self._database_name, names)
            except BaseException:
                await client.close()
                raise
        self._client, self._sessions = client, Sessions(client)
        self.has_bulk_write = hello["maxWireVersion"] >= BULK_WRITE_WIRE_VERSION

    def _new_client(self) -> AsyncMongoClient[Document]:
        try:
            return new_client(self._uri, timeout_ms=self._timeout_ms, pool_max=self._pool_max)
        except ValueError as error:
            raise ConfigurationError("a part of the URI is out of its range") from error

    @property
    def sessions(self) -> Sessions:
        """The sessions for the transactions of a call. Raises StoreUnavailable before the connection was opened."""
        if self._sessions is None:
            raise NotOpen(CLOSED)
        return self._sessions

    async def close(self) -> None:
        """Accepts no more calls, waits for running ones (bounded by their timeouts), and disconnects."""
        client, self._client = self._client, None
        await self._idle.wait()
        if client is not None:
            await self.sessions.close()
            await client.close()

    async def ping(self) -> None:
        """Asks the primary for an answer within PING_SECONDS."""
        async with self.call(seconds=PING_SECONDS) as database:
            await database.client.admin.command("ping")

    def seconds_for(self, writes: int) -> float:
        """The time limit for a transaction of this many writes: a large one may take longer."""
        return min(self._timeout_ms / 1_000 + writes * WRITE_SECONDS, TRANSACTION_SECONDS_MAX)

    @asynccontextmanager
    async def call(self, *, seconds: float | None = None) -> AsyncIterator[AsyncDatabase[Document]]:
        """The database for one call, with one deadline for everything in it and pymongo's errors translated."""
        client = self._client
        if client is None:
            raise NotOpen(CLOSED)
        self._running += 1
        self._idle.clear()
        try:
            with heeding_cancellation(), translated(), pymongo.timeout(seconds or self._timeout_ms / 1_000):
                yield _database(client, self._database_name, prefix=self._prefix)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()


def _database(client: AsyncMongoClient[Document], name: str, *, prefix: str) -> AsyncDatabase[Document]:
    return TandemDatabase(
        client,
        name,
        prefix=prefix,
        codec_options=CODEC,
        read_preference=ReadPreference.PRIMARY,
        read_concern=MAJORITY,
        write_concern=DURABLE,
    )


def require_transactions(hello: Document) -> None:
    """Raises StoreRefused where the server is neither a member of a replica set nor a router to some."""
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise StoreRefused(STANDALONE)
