"""MontyDB's storage, found through its own extension point: documents by key, candidates by index.

MontyDB's bundled storages decode the whole collection for every question. This one hands its matcher the documents
the question names, from an index or by `_id`, and the matcher checks every one of them.
"""

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bson
from montydb import MontyClient, set_storage
from montydb.errors import ConfigurationError, OperationFailure
from montydb.storage import AbstractStorage

from adapters.monty.document import CODEC, CODEC_FACTS, DOCUMENT_ID, key_of
from adapters.monty.document_keepers import DocumentKeeper
from adapters.monty.document_query import DocumentQuery


class CandidateQuery(dict[str, Any]):
    """A filter that knows by id which documents it needs to see, and in which order."""

    def __init__(self, query: DocumentQuery, candidates: Sequence[str]) -> None:
        super().__init__(query)
        self.candidates = candidates


class KeyedStorage(AbstractStorage):  # type: ignore[misc] # MontyDB is published without types
    """Answers MontyDB's questions from a keeper. Change sets go to the keeper itself, past MontyDB's own writes,
    which know neither versions nor unique keys.
    """

    keeper: DocumentKeeper

    @classmethod
    def nice_name(cls) -> str:
        return "keyed"

    @classmethod
    def config(cls, **facts: Any) -> dict[str, Any]:
        return facts

    @property
    def contractor_cls(self) -> type[Any]:
        """What MontyDB looks for to do anything that is not defined here."""
        raise OperationFailure("These collections are changed by change sets only.")

    def database_create(self, db_name: str) -> None:
        raise OperationFailure(f"There is one database, and it is not {db_name}.")

    def database_drop(self, db_name: str) -> None:
        raise OperationFailure(f"Dropping {db_name} is left to the operator.")

    def database_list(self) -> list[str]:
        return [self.keeper.database]

    def query(self, cursor: Any, max_scan: int) -> Iterator[MutableMapping[str, Any]]:
        """The documents that a cursor's filter may match, decoded."""
        found = self.keeper.documents(cursor.collection.name, self._keys(cursor._spec))
        for count, data in enumerate(found):
            if max_scan and count >= max_scan:
                return
            yield bson.decode(data, codec_options=CODEC)

    @staticmethod
    def _keys(query: DocumentQuery) -> Iterable[bytes] | None:
        if isinstance(query, CandidateQuery):
            return map(key_of, query.candidates)
        pinned = query.get(DOCUMENT_ID)
        return [key_of(pinned)] if isinstance(pinned, str) else None


def open_client(keeper: DocumentKeeper, directory: Path | None) -> MontyClient:
    """A MontyDB client over the keeper's documents. MontyDB's own settings go into the directory, if there is one."""
    if directory is not None:
        return _client(keeper, directory)
    # MontyDB ties the name ":memory:" to its own storage, and reads settings from a directory once.
    with TemporaryDirectory(prefix="tandem-monty-") as passing:
        return _client(keeper, Path(passing))


def _client(keeper: DocumentKeeper, directory: Path) -> MontyClient:
    set_storage(str(directory), storage=__name__, use_bson=True)
    client = MontyClient(str(directory), **CODEC_FACTS)
    storage = client._storage
    if not isinstance(storage, KeyedStorage):
        raise ConfigurationError(f"MontyDB took {type(storage).__name__} for its storage")
    storage.keeper = keeper
    return client
