"""An adopted database, and the service over it as its people see it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from adapters.records.record import Record
from adapters.records.record_store import SCAN_MAX
from adapters.records.specs import ALL_SPECS
from entrypoints.composition.settings import read_settings
from entrypoints.composition.stores import build_store
from tests.integration.journeys.service import JourneyService, Person, running, sign_in
from tests.servers.mongo import MongoDatabase

OWN = "tandem."

Json = dict[str, Any]
T = TypeVar("T")


@dataclass(slots=True)
class Visit:
    """The running service, and the people who have signed in to it, by their addresses."""

    service: JourneyService
    people: dict[str, Person] = field(default_factory=dict)

    async def person(self, email: str) -> Person:
        """Somebody who signs in with their address."""
        if email not in self.people:
            self.people[email] = await sign_in(self.service.client, email)
        return self.people[email]

    async def view(self, email: str, path: str) -> Json:
        """What somebody is answered with."""
        return await self.service.view(await self.person(email), "GET", path)

    async def items(self, email: str, path: str) -> list[Json]:
        """Every item of a list as somebody sees it."""
        return await self.service.items(await self.person(email), path)


def visited(variables: Mapping[str, str], visit: Callable[[Visit], Awaitable[T]]) -> T:
    """What a visit to the service of these settings returns."""

    async def run() -> T:
        async with running(variables) as service:
            return await visit(Visit(service))

    return asyncio.run(run())


def documents_of(database: MongoDatabase) -> dict[str, list[bytes]]:
    """The bytes of every document of the other service, by collection, and its indexes and options."""
    with MongoClient[RawBSONDocument](database.uri, document_class=RawBSONDocument) as client:
        held = client[database.name]
        names = sorted(name for name in held.list_collection_names() if not name.startswith(OWN))
        found = {name: [bytes(one.raw) for one in held[name].find().sort("_id", 1)] for name in names}
    with MongoClient[Json](database.uri) as client_of_options:
        for name in names:
            about = client_of_options[database.name][name]
            found[f"{name} itself"] = [repr((about.index_information(), about.options())).encode()]
    return found


def stored_in(variables: Mapping[str, str]) -> dict[str, list[Record]]:
    """Every record of the source, by collection."""

    async def read() -> dict[str, list[Record]]:
        stores = read_settings(variables).stores
        store = build_store(stores.source, stores)
        await store.open()
        try:
            return {
                spec.collection: await store.scan(spec.collection, after=None, limit=SCAN_MAX)
                for spec in ALL_SPECS
            }
        finally:
            await store.close()

    return asyncio.run(read())
