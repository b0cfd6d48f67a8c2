"""What both stores of an installation hold while no process uses them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.ownership import control
from adapters.records.record import Record
from adapters.records.specs import ENTITY_SPECS
from entrypoints.composition.settings import read_settings
from entrypoints.composition.stores import build_store

RECORDS_MAX = 5_000


@dataclass(slots=True)
class Found:
    """By store: its role in the installation, and its records by collection."""

    roles: dict[str, str] = field(default_factory=dict)
    contents: dict[str, dict[str, list[Record]]] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The names of the labels in PostgreSQL."""
        return [str(record["name"]) for record in self.contents["postgres"]["labels"]]


def stored_in(variables: Mapping[str, str]) -> Found:
    """Reads both stores of these settings."""
    return asyncio.run(_read(variables))


async def _read(variables: Mapping[str, str]) -> Found:
    settings, found = read_settings(variables), Found()
    for name in (variables["DUAL_WRITE_SOURCE"], "postgres"):
        store = build_store(name, settings.stores)
        await store.open()
        try:
            held = await control.read(store)
            assert held is not None
            found.roles[name] = held.ownership.role.name
            found.contents[name] = {
                spec.collection: await store.scan(spec.collection, after=None, limit=RECORDS_MAX)
                for spec in ENTITY_SPECS
            }
        finally:
            await store.close()
    return found
