"""Creates the collections, validators and indexes that the specs declare, and changes them when a spec has changed."""

from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from adapters.mongo.documents import Document
from adapters.mongo.duplicates import Obstacle, command_on, duplicates_of
from adapters.mongo.errors import DUPLICATE_KEY
from adapters.mongo.validators import ensure_validator
from adapters.records.document_filter import DOCUMENT_ID, WORDS
from adapters.records.fields import FieldKind
from adapters.records.indexes import Index, Scope, UniqueKey
from adapters.records.record import ID
from adapters.records.specs import RecordSpec
from domain.storable import INTEGER_MIN

_COMPARED = (
    "key", "unique", "partialFilterExpression", "weights", "default_language",
    "sparse", "collation", "expireAfterSeconds", "hidden",
)  # fmt: skip
_CONFLICTS = frozenset({85, 86})
"""Codes for an index beside another one on the same fields, or of the same name."""
_LOWEST: dict[FieldKind, Any] = {FieldKind.TEXT: "", FieldKind.DAY: "", FieldKind.INTEGER: INTEGER_MIN}
"""The lowest value of each kind, so that `$gte` leaves out nulls.

`$type` would mean the same, but MongoDB does not recognize that a query for one value lies within it, and would not use
the index.
"""


async def prepare_collection(database: AsyncDatabase[Document], spec: RecordSpec[Any]) -> list[Obstacle]:
    """Makes the collection match its spec, validator included. Returns why indexes could not be made.

    Indexes that no spec names are left alone: they belong to other programs.
    """
    name = database[spec.collection].name
    if name not in await database.list_collection_names():
        await database.create_collection(name, check_exists=False)
    await ensure_validator(database, spec)
    collection = database[spec.collection]
    existing = {index["name"]: definition_of(index) async for index in await collection.list_indexes()}
    made = [await _ensure(collection, model, existing, name=spec.collection) for model in models_of(spec)]
    return [obstacle for obstacle in made if obstacle is not None]


def models_of(spec: RecordSpec[Any]) -> list[IndexModel]:
    """The indexes of a collection."""
    indexes = [_index(spec, index) for index in spec.indexes]
    if spec.text_fields:
        indexes.append(IndexModel([(WORDS, 1)], name=f"{spec.collection}_words"))
    return [*indexes, *(_unique(spec, key) for key in spec.unique_keys)]


async def _ensure(
    collection: AsyncCollection[Document], model: IndexModel, existing: dict[str, Document], *, name: str
) -> Obstacle | None:
    """Makes an index anew that is missing or another one. Returns why it cannot be made."""
    index = model.document
    # Under another name it does the same, and MongoDB would not make a second one.
    if definition_of(index) in existing.values():
        return None
    if index.get("unique") and (obstacle := await duplicates_of(collection, index, name=name)) is not None:
        return obstacle
    if index["name"] in existing:
        await collection.drop_index(index["name"])
    try:
        await collection.create_indexes([model])
    except OperationFailure as error:
        if error.code == DUPLICATE_KEY:  # they were written meanwhile
            return await duplicates_of(collection, index, name=name)
        if error.code in _CONFLICTS:
            return Obstacle(
                f"The index {index['name']} of the collection {name} cannot be made beside one on the same fields.",
                f"In mongosh, find that with {command_on(collection.name, 'getIndexes()')} and drop it.",
            )
        raise
    return None


def _index(spec: RecordSpec[Any], index: Index) -> IndexModel:
    # dict.fromkeys: where an index ends with the id, it is named once.
    names = dict.fromkeys(DOCUMENT_ID if name == ID else name for name in (*index.fields, ID))
    partial = {**_present(spec, index), **_held(index.scope)}
    options = {"partialFilterExpression": partial} if partial else {}
    return IndexModel([(name, 1) for name in names], name=index.name, **options)


def _unique(spec: RecordSpec[Any], key: UniqueKey) -> IndexModel:
    """Partial, so that a record where one of the fields is null is not in the index and collides with nothing."""
    present: Document = {name: {"$gte": _LOWEST[spec.field(name).kind]} for name in key.fields}
    partial = {**present, **(_held(Scope.LIVE) if key.live_only else {})}
    keys = [(name, 1) for name in key.fields]
    return IndexModel(keys, name=key.name, unique=True, partialFilterExpression=partial)


def _present(spec: RecordSpec[Any], index: Index) -> Document:
    """The conditions that leave out nulls. Instants have no lowest value that MongoDB would see to bound a range."""
    kinds = {name: spec.field(name).kind for name in spec.present_in(index)}
    return {name: {"$gte": _LOWEST[kind]} for name, kind in kinds.items() if kind in _LOWEST}


def _held(scope: Scope) -> Document:
    return {
        name: values[0] if len(values) == 1 else {"$in": list(values)} for name, values in scope.held.items()
    }


def definition_of(index: Any) -> Document:
    """The properties by which indexes are compared, as plain dictionaries; the order of keys counts."""
    definition: Document = {name: index[name] for name in _COMPARED if index.get(name)}
    definition["key"] = list(definition["key"].items())
    return definition
