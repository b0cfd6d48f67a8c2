"""The `$jsonSchema` validators that the specs require: MongoDB checks the documents of every program by them.

Fields outside the spec are allowed, because they are kept, and so are the hidden ones. A tombstone only has its id,
version and marks. Ids are text: an ObjectId and the same digits as text would be two documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from adapters.mongo.client import DURABLE
from adapters.mongo.documents import GUARDED, Document
from adapters.mongo.errors import NOT_SUPPORTED
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.fields import Field, FieldKind
from adapters.records.record import ID, IS_DELETED, IS_ERASED, VERSION
from adapters.records.specs import RecordSpec

_TYPES: dict[FieldKind, tuple[str, ...]] = {
    FieldKind.TEXT: ("string",),
    FieldKind.INTEGER: ("int", "long"),
    FieldKind.BOOLEAN: ("bool",),
    FieldKind.INSTANT: ("date",),
    FieldKind.DAY: ("string",),
}
ENFORCED: Document = {"validationLevel": "strict", "validationAction": "error"}
TAKES_NONE: Document = {"validator": {}, **ENFORCED}
"""The validation of a collection without a validator."""
_TEXT_ID: Document = {"bsonType": ["string"]}
_WHOLE_NUMBER: Document = {"bsonType": ["int", "long"]}


async def ensure_validator(database: AsyncDatabase[Document], spec: RecordSpec[Any]) -> None:
    """Makes the existing collection reject invalid documents from now on; documents that it holds stay.

    Does nothing on a server without validators; `has_validator` shows that.
    """
    if await has_validator(database, spec):
        return
    name = database[spec.collection].name
    try:
        await database.command("collMod", name, **validator_options(spec), writeConcern=DURABLE.document)
    except OperationFailure as error:
        if error.code not in NOT_SUPPORTED:
            raise


async def has_validator(database: AsyncDatabase[Document], spec: RecordSpec[Any]) -> bool:
    """Whether the server reports the validator of the spec for this collection."""
    return validation_of(await database[spec.collection].options()) == validator_options(spec)


async def takes_validators(database: AsyncDatabase[Document], collections: Iterable[str]) -> bool:
    """Whether a server, none of whose collections has a validator, could have some; changes nothing."""
    for name in collections:
        try:
            await database.command("collMod", name)
        except OperationFailure as error:
            return error.code not in NOT_SUPPORTED
        return True
    return True


def validation_of(options: Mapping[str, Any]) -> Document:
    """How a collection with these options validates: servers leave out what is their default."""
    return {name: options.get(name, default) for name, default in TAKES_NONE.items()}


def validator_options(spec: RecordSpec[Any]) -> Document:
    """The validation that the spec requires."""
    return {"validator": validator_of(spec), **ENFORCED}


def validator_of(spec: RecordSpec[Any]) -> Document:
    """The validator of a collection."""
    return {"$jsonSchema": {"bsonType": "object", "anyOf": [_live(spec), _tombstone()]}}


def _live(spec: RecordSpec[Any]) -> Document:
    return {
        "required": [_name(field) for field in spec.fields if not field.nullable],
        "properties": {_name(field): _demand(field) for field in spec.fields},
    }


def _tombstone() -> Document:
    return {
        "required": [DOCUMENT_ID, VERSION, IS_ERASED],
        "properties": {
            DOCUMENT_ID: _TEXT_ID,
            VERSION: _WHOLE_NUMBER,
            IS_DELETED: {"enum": [True]},
            IS_ERASED: {"enum": [True]},
            GUARDED: _WHOLE_NUMBER,
        },
        "additionalProperties": False,
    }


def _name(field: Field) -> str:
    return DOCUMENT_ID if field.name == ID else field.name


def _demand(field: Field) -> Document:
    null = ["null"] if field.nullable else []
    demand: Document = {"bsonType": [*_types_of(field), *null]}
    if field.values:
        demand["enum"] = [*field.values, *([None] if field.nullable else [])]
    return demand


def _types_of(field: Field) -> tuple[str, ...]:
    if field.kind is FieldKind.JSON:
        return ("array",) if field.is_list else ("object",)
    return _TYPES[field.kind]
