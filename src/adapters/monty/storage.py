"""MontyDB over the store's file: its matcher for criteria that SQL cannot express, and its client for manual reads.

`set_storage(directory, storage="adapters.monty.storage", use_bson=True)` makes `MontyClient(directory)` read the
databases of a directory with MontyDB's query language, also while the service runs. It
cannot change them, because only change sets check versions and unique keys.
"""

# ruff: noqa: S608 - statements are built from the specs; values are parameters

import sqlite3
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import bson
from montydb.engine.queries import QueryFilter
from montydb.errors import OperationFailure
from montydb.storage import AbstractStorage
from montydb.types import bson as montydb_bson

from adapters.monty.document import CODEC, decoded
from adapters.monty.tables import quoted
from adapters.records.document_filter import DOCUMENT_ID, WORDS
from adapters.records.record import ID, Record

montydb_bson.init(use_bson=True)


def matching(
    query: dict[str, Any],
    rows: Iterable[tuple[bytes]],
    tokens_of: Callable[[Record], list[str]] | None = None,
) -> Iterator[Record]:
    """The records of those documents that MontyDB's matcher accepts, in their order. It sees the tokens of each record
    as a further field if the filter asks for words.
    """
    accepts = QueryFilter(query)
    for (data,) in rows:
        record = decoded(data)
        words = {} if tokens_of is None else {WORDS: tokens_of(record)}
        if accepts({DOCUMENT_ID: record[ID], **record, **words}):
            yield record


class SqliteStorage(AbstractStorage):  # type: ignore[misc] # MontyDB is published without types
    """MontyDB's extension point: databases are the files of a directory, collections are their tables."""

    @classmethod
    def config(cls, **facts: Any) -> dict[str, Any]:
        return facts

    @property
    def contractor_cls(self) -> type[Any]:
        """MontyDB's entry point for all other operations, none of which is supported."""
        raise OperationFailure("These collections can only be changed through Tandem.")

    def database_drop(self, db_name: str) -> None:
        raise OperationFailure(
            f"{db_name} cannot be dropped through MontyDB; stop Tandem and remove its files instead."
        )

    def database_list(self) -> list[str]:
        return sorted(path.stem for path in Path(self.repository).glob("*.sqlite"))

    def collection_list(self, database: Any) -> list[str]:
        """The names of the collections."""
        names = "SELECT collection FROM table_versions ORDER BY collection"
        return [name for (name,) in self._rows(database.name, names)]

    def collection_exists(self, database: Any, name: str) -> bool:
        """Whether the collection exists."""
        return name in self.collection_list(database)

    def query(self, cursor: Any, max_scan: int) -> Iterator[MutableMapping[str, Any]]:
        """The documents that a cursor's filter may match, decoded; MontyDB matches and sorts them."""
        database, collection = cursor.collection.database, cursor.collection.name
        if not self.collection_exists(database, collection):
            return
        pinned = cursor._spec.get(DOCUMENT_ID)
        statement, parameters = f"SELECT doc FROM {quoted(collection)} ORDER BY id", []
        if isinstance(pinned, str):
            statement, parameters = f"SELECT doc FROM {quoted(collection)} WHERE id = ?", [pinned]
        rows = self._rows(database.name, statement, *parameters)
        yield from (bson.decode(data, codec_options=CODEC) for (data,) in islice(rows, max_scan or None))

    def _rows(self, database: str, statement: str, *params: str) -> Iterator[tuple[Any, ...]]:
        path = Path(self.repository, f"{database}.sqlite")
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            yield from connection.execute(statement, params)
