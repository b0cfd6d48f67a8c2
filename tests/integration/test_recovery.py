"""What helps after a loss: a new target, a restored source that is recovered, and the target as the last store left."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from pymongo import MongoClient

from adapters.ownership.refusals import StaleOwner
from adapters.records.change_set import ChangeSet
from domain.errors import Conflict
from domain.migration import Phase
from entrypoints.composition.container import Container
from entrypoints.composition.failures import StoreRefused, WritesRefused
from entrypoints.composition.recoveries import (
    survive_without_service,
    take_target,
    until_connected,
)
from entrypoints.composition.settings import read_settings
from tests.integration.ownership_world import copied, serving, task_ids, until_delivered, until_equal, write
from tests.integration.source_turns import sources
from tests.servers.postgres import PostgresServer
from tests.unit.contracts.builders import change_set, entry, erasure, numbered_id, put, task

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@dataclass
class Place:
    """The settings of an installation that mirrors to PostgreSQL, and the ways to lose its stores."""

    variables: dict[str, str]
    server: PostgresServer
    directory: Path

    @property
    def is_embedded(self) -> bool:
        return self.variables["DUAL_WRITE_SOURCE"] == "monty"

    def empty_target(self) -> None:
        """Drops the target's database and creates an empty one of its name, whoever is connected."""
        name = sql.Identifier(urlsplit(self.variables["POSTGRES_URL"]).path.removeprefix("/"))
        options = sql.SQL("TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {} {}").format(name, options))

    def copied_source(self) -> Callable[[], None]:
        """Copies the source, and returns what puts the copy back in its place. Nothing may run."""
        self.directory.mkdir(exist_ok=True)
        older = copied(self.directory, "older")
        if not self.is_embedded:
            uri, name = self.variables["MONGODB_URI"], self.variables["DB_NAME"]
            _replace(uri, name, f"{name}_older")

        def put_back() -> None:
            shutil.rmtree(self.directory)
            shutil.copytree(older, self.directory)
            if not self.is_embedded:
                _replace(uri, f"{name}_older", name)

        return put_back

    def lose_source(self) -> None:
        shutil.rmtree(self.directory / "monty")


@pytest.fixture
def place(variables: dict[str, str], postgres_server: PostgresServer) -> Place:
    return Place(variables, postgres_server, Path(variables["DATA_DIR"]))


only_monty = pytest.mark.parametrize("variables", ["monty"], indirect=True)


@pytest.mark.parametrize(
    ("variables", "is_running"),
    [
        ("monty", True),
        ("mongo", False),
        pytest.param("monty", False, marks=pytest.mark.torture),
        pytest.param("mongo", True, marks=pytest.mark.torture),
    ],
    indirect=["variables"],
)
async def test_an_empty_database_takes_the_place_of_a_lost_target(place: Place, *, is_running: bool) -> None:
    async with serving(place.variables) as container:
        await write(container, 1, 2, 3)
        await until_equal(container)
        if is_running:
            place.empty_target()
            await _replaced(container)
    if not is_running:
        place.empty_target()
        async with serving(place.variables) as container:
            await _replaced(container)


@sources("variables", short="monty")
async def test_a_new_target_also_gets_what_has_no_history(place: Place) -> None:
    async with serving(place.variables) as container:
        await container.stack().direction.raw_source.commit(ChangeSet((put("tasks", task(9)),)))
        await write(container, 1)
        await until_delivered(container)
        place.empty_target()
        await until_refused(container)
        migration = container.migration()
        await migration.backfill(lambda _: None, by="operator", new_target=True)
        await until_equal(container)
        found = await migration.verify(lambda _: None, by="operator")
        assert (found.coverage, found.difference_count) == (1.0, 0)
        assert await task_ids(container.stack().raw_stores[1]) == {numbered_id(1), numbered_id(9)}


@sources("variables", short="mongo")
async def test_a_database_that_holds_something_does_not_become_the_target(place: Place) -> None:
    async with serving(place.variables) as container:
        await write(container, 1)
        await until_equal(container)
    place.empty_target()
    alone = {**place.variables, "STORE": "postgres", "DATA_DIR": str(place.directory.with_name("other"))}
    async with serving(alone) as other:
        await write(other, 7)
    async with serving(place.variables) as container:
        with pytest.raises(Conflict, match="owner of installation"):
            await take_target(container.stack())
        await write(container, 2)
        assert await task_ids(container.stack().raw_stores[1]) == {numbered_id(7)}


@sources("variables", short="monty")
async def test_a_restored_source_gets_back_what_the_target_holds_and_keeps_its_own_writes(
    place: Place,
) -> None:
    async with serving(place.variables) as container:
        await write(container, 1, 2, 3)
        await until_equal(container)
    put_back = place.copied_source()
    async with serving(place.variables) as container:
        await write(container, 4, 5)
        await _change(container, 1, title="Renamed")
        removal = erasure("tasks", 2, version=2)
        await container.stack().store.commit(change_set(removal, entries=[entry(removal)]))
        await until_equal(container)
    put_back()
    async with serving({**place.variables, "POSTGRES_URL": NOWHERE}, alone=True) as container:
        await write(container, 6)
        await _change(container, 1, description="Written in the copy", id_=0xF001)
    async with serving(place.variables) as container:
        stack = container.stack()
        with pytest.raises(WritesRefused, match="tandem recover"):
            await write(container, 7)
        found = await container.migration().recover(lambda _: None, by="operator")
        assert found.verification.coverage == 1.0
        assert found.verification.difference_count == 0
        assert (found.changes, found.rebased, found.changed_twice_count) == (4, 1, 1)
        assert [one.id for one in found.changed_twice] == [numbered_id(1)]
        await write(container, 7)
        await until_equal(container)
        assert await task_ids(stack.source) == {numbered_id(number) for number in range(1, 8)}
        tasks = await stack.source.fetch("tasks", [numbered_id(1), numbered_id(2)])
        first, second = tasks[numbered_id(1)], tasks[numbered_id(2)]
        assert (first["title"], first["description"], first["version"]) == (
            "Renamed",
            "Written in the copy",
            3,
        )
        assert second["isErased"] is True
    async with serving(place.variables) as container:
        await write(container, 8)
        await until_equal(container)


@only_monty
async def test_the_target_becomes_the_owner_where_the_source_is_lost(place: Place) -> None:
    settings = read_settings(place.variables)
    async with serving(place.variables) as container:
        await write(container, 1, 2)
        await until_equal(container)
    lost = copied(place.directory, "lost")
    place.lose_source()
    with pytest.raises(StoreRefused):
        async with serving(place.variables):
            pass
    owner = await survive_without_service(settings, reason="The disk is broken.")
    assert (owner.owner, owner.epoch) == ("postgres", 3)
    async with serving(place.variables) as container:
        stack = container.stack()
        assert stack.source.name == "postgres"
        await write(container, 3)
        await until_connected(stack)
        await until_equal(container)
        assert len(await task_ids(stack.raw_stores[0])) == 3
        await asyncio.sleep(2.5)  # comparisons of the relay
        await write(container, 4)
        await until_equal(container)
    shutil.rmtree(place.directory)
    shutil.copytree(lost, place.directory)
    with pytest.raises(StaleOwner, match="STORE=postgres"):
        async with serving(place.variables):
            pass


@only_monty
async def test_a_source_that_is_whole_is_not_given_up(place: Place) -> None:
    async with serving(place.variables) as container:
        await write(container, 1)
        await until_equal(container)
    with pytest.raises(Conflict, match="tandem move cutover"):
        await survive_without_service(read_settings(place.variables), reason="By mistake.")
    async with serving(place.variables) as container:
        assert container.stack().source.name == "monty"
        await write(container, 2)


async def until_refused(container: Container) -> None:
    """Waits until the emptied target is found."""
    async with asyncio.timeout(20):
        while True:
            if "--new-target" in (await container.stack().direction.target_trouble() or ""):
                return
            await asyncio.sleep(0.05)


async def _replaced(container: Container) -> None:
    """Lets the empty database become the target, and waits until it holds everything."""
    stack = container.stack()
    await until_refused(container)
    await write(container, 4)
    await take_target(stack)
    await until_connected(stack)
    await until_equal(container)
    assert await task_ids(stack.raw_stores[1]) == {numbered_id(number) for number in range(1, 5)}
    owner = (await stack.ownership.required()).ownership
    assert owner.phase is Phase.MIRRORING
    assert owner.peer is not None
    assert owner.peer.incarnation > 1


async def _change(container: Container, number: int, *, id_: int | None = None, **fields: str) -> None:
    change = put("tasks", task(number, version=2, **fields))
    changes = {name: {"before": None, "after": value} for name, value in fields.items()}
    ids = {} if id_ is None else {"id": numbered_id(id_), "changeSetId": numbered_id(id_)}
    made = entry(change, changes=changes, **ids)
    await container.stack().store.commit(change_set(change, entries=[made]))


def _replace(uri: str, source: str, target: str) -> None:
    """Makes one database a copy of another one."""
    with MongoClient[dict[str, object]](uri) as client:
        for name in client[source].list_collection_names():
            client[target][name].delete_many({})
            documents = list(client[source][name].find())
            if documents:
                client[target][name].insert_many(documents)
        for name in set(client[target].list_collection_names()) - set(client[source].list_collection_names()):
            client[target][name].delete_many({})
