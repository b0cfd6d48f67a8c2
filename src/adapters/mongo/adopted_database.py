"""A database that Tandem shares with the collections of another service, which it has adopted.

Tandem's own collections have a prefix there (`tandem.tasks`), so that those of the other service stay as they are. The
collection `tandem.control` marks such a database.
"""

from collections.abc import Collection
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.documents import Document
from adapters.records.record_store import StoreRefused
from adapters.records.specs import CONTROL

ADOPTED_PREFIX = "tandem."
ADOPTED_MARK = f"{ADOPTED_PREFIX}{CONTROL.collection}"
ONLY_ELSEWHERE = frozenset({"user_roles", "user_team_details", "task_details", "watchlist", "counters"})
"""Collections of the public shape that Tandem never has."""


class TandemDatabase(AsyncDatabase[Document]):
    """A database in which every collection of Tandem has this prefix."""

    def __init__(self, *arguments: Any, prefix: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._prefix = prefix

    def __getitem__(self, name: str) -> AsyncCollection[Document]:
        """The collection that Tandem knows by this name."""
        return super().__getitem__(f"{self._prefix}{name}")


def require_own(database: str, collections: Collection[str]) -> str:
    """The prefix of Tandem's collections in a database with these collections.

    Raises StoreRefused for a database of another service that was not adopted: preparing it would change its
    collections.
    """
    if ADOPTED_MARK in collections:
        return ADOPTED_PREFIX
    foreign = sorted(ONLY_ELSEWHERE.intersection(collections))
    if foreign and CONTROL.collection not in collections:
        raise StoreRefused(
            f"The database {database} belongs to another service: it has the collections {', '.join(foreign)}.",
            remedy="To see what Tandem would take over, type: tandem adopt --dry-run. Or name another database with"
            " DB_NAME.",
        )
    return ""
