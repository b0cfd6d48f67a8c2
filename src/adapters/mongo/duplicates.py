"""The documents that share a unique value although a unique key would forbid it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from adapters.mongo.documents import Document
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.record_store import StoreRefused

GROUPS_NAMED_MAX = 3
"""How many shared values one message names."""
IDS_NAMED_MAX = 5
"""How many of the documents that share one value it names."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why an index cannot be made."""

    cause: str
    remedy: str


def refusal_of(obstacles: Sequence[Obstacle]) -> StoreRefused:
    """The error for indexes that cannot be made, with what to do first."""
    remedies = dict.fromkeys(one.remedy for one in obstacles)
    return StoreRefused(
        " ".join(one.cause for one in obstacles), remedy=" ".join([*remedies, "Then type: tandem migrate up"])
    )


async def duplicates_of(
    collection: AsyncCollection[Document], index: Mapping[str, Any], *, name: str
) -> Obstacle | None:
    """The documents that keep a unique index from being made; None where there are none. `name` is the collection as
    Tandem calls it. Raises pymongo's errors.
    """
    fields = list(index["key"])
    shared = {f"field{place}": f"${field}" for place, field in enumerate(fields)}
    pipeline: list[Document] = [
        {"$match": dict(index.get("partialFilterExpression", {}))},
        {"$group": {"_id": shared, "ids": {"$push": f"${DOCUMENT_ID}"}, "count": {"$sum": 1}}},
        {"$match": {"count": {"$gt": 1}}},
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": GROUPS_NAMED_MAX},
    ]
    groups = [group async for group in await collection.aggregate(pipeline, allowDiskUse=True)]
    if not groups:
        return None
    named = "; ".join(_listed(group["ids"]) for group in groups)
    first = groups[0]["ids"][-1]
    removal = command_on(collection.name, f"deleteOne({{_id: {json.dumps(str(first))}}})")
    return Obstacle(
        f"The unique key {index['name']} of the collection {name} cannot be made, because documents have the same"
        f" {' and '.join(fields)}: {named}.",
        f"Keep one document of each group, and change or remove the others: in mongosh, type for example: {removal}",
    )


def command_on(collection: str, call: str) -> str:
    """The command of mongosh that calls this on a collection."""
    return f"db.getCollection({json.dumps(collection)}).{call}"


def _listed(ids: Sequence[object]) -> str:
    more = "" if len(ids) <= IDS_NAMED_MAX else f" and {len(ids) - IDS_NAMED_MAX} more"
    return ", ".join(map(str, ids[:IDS_NAMED_MAX])) + more
