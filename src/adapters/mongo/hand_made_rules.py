"""Whether what rejects a write is part of Tandem, or was added to a collection by hand: then no caller is to blame."""

import json

from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.documents import Document
from adapters.mongo.duplicates import command_on
from adapters.mongo.errors import DuplicateKey, HandMadeRule, StaleVersion, ValidationFailed
from adapters.mongo.indexes import definition_of, models_of
from adapters.mongo.validators import has_validator
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.specs import SPECS


async def hand_made_rule(
    database: AsyncDatabase[Document], failure: DuplicateKey | StaleVersion | ValidationFailed
) -> HandMadeRule | None:
    """The error that names the index or the validator; None where what rejected the write is part of Tandem.

    Raises pymongo's errors.
    """
    if isinstance(failure, DuplicateKey):
        return await _of_index(database, failure)
    if isinstance(failure, ValidationFailed) and not await has_validator(database, SPECS[failure.collection]):
        return HandMadeRule(
            f"The validator of the collection {failure.collection} is another one than Tandem made, and rejects a"
            " document. Type: tandem migrate up"
        )
    return None


async def _of_index(database: AsyncDatabase[Document], failure: DuplicateKey) -> HandMadeRule | None:
    models = models_of(SPECS[failure.collection]) if failure.collection in SPECS else []
    names = [model.document["name"] for model in models]
    keys = [tuple(model.document["key"]) for model in models if model.document.get("unique")]
    if (
        failure.fields == (DOCUMENT_ID,)
        or failure.index in names
        or (failure.fields in keys and not failure.index)
    ):
        return None
    collection = database[failure.collection]
    own = [definition_of(model.document) for model in models]
    held = [index async for index in await collection.list_indexes()]
    # One of the same definition under another name does the work of Tandem's.
    if any(index["name"] == failure.index and definition_of(index) in own for index in held):
        return None
    name = failure.index or f"on {', '.join(failure.fields)}"
    drop = command_on(collection.name, f"dropIndex({json.dumps(failure.index)})")
    return HandMadeRule(
        f"The unique index {name} of the collection {failure.collection} is not part of Tandem, and another document"
        f" holds the value. Drop it: in mongosh, type: {drop}"
    )
