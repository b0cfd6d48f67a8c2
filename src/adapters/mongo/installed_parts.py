"""What a database lacks of the indexes and validators that Tandem has made, and what somebody added to them.

Whoever drops an index, restores a copy without its indexes, or changes a validator gets no error: writes go on, and two
documents hold the same unique value.
"""

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.documents import Document
from adapters.mongo.duplicates import command_on
from adapters.mongo.indexes import definition_of, models_of
from adapters.mongo.other_ids import OF_OTHER_KINDS, named_in
from adapters.mongo.validators import ENFORCED, TAKES_NONE, takes_validators, validation_of, validator_options
from adapters.records.specs import ALL_SPECS, RecordSpec
from application.ports.schema import FlawEffect, SchemaFlaw

MIGRATE = "Type: tandem migrate up"
AT_ONCE = 8
"""How many collections are looked at together."""
_MISSING = "is missing: somebody dropped it"
_REPLACED = "is another one than Tandem made: somebody replaced it"
_EXPIRES = "expireAfterSeconds"


async def flaws_of(database: AsyncDatabase[Document]) -> list[SchemaFlaw]:
    """What is not as this program has made it, in a database of its specs, the grave ones first. Raises pymongo's
    errors.
    """
    held = {info["name"]: info.get("options", {}) async for info in await database.list_collections()}
    flaws: list[SchemaFlaw] = []
    validated = [name for name, options in held.items() if validation_of(options) != TAKES_NONE]
    has_validators = bool(validated) or await takes_validators(database, held)
    specs = [spec for spec in ALL_SPECS if database[spec.collection].name in held]
    flaws += [_gone(spec.collection) for spec in ALL_SPECS if spec not in specs]
    for start in range(0, len(specs), AT_ONCE):
        # Several at once, because a server may be far away.
        looks = [_of_collection(database, spec) for spec in specs[start : start + AT_ONCE]]
        flaws += [flaw for found in await asyncio.gather(*looks) for flaw in found]
    if has_validators:
        flaws += [
            flaw for spec in specs for flaw in _of_validator(spec, held[database[spec.collection].name])
        ]
    return sorted(flaws, key=lambda flaw: flaw.effect is FlawEffect.SLOW)


async def _of_collection(database: AsyncDatabase[Document], spec: RecordSpec[Any]) -> list[SchemaFlaw]:
    collection = database[spec.collection]
    present = {index["name"]: index async for index in await collection.list_indexes()}
    flaws = [*_of_indexes(spec, present), *_of_others(spec, collection.name, present)]
    if names := await named_in(database, spec.collection):
        flaws.append(_of_other_ids(spec.collection, collection.name, names))
    return flaws


def _of_other_ids(collection: str, name: str, ids: Sequence[str]) -> SchemaFlaw:
    find = command_on(name, f"find({json.dumps(OF_OTHER_KINDS)})")
    return SchemaFlaw(
        cause=f"The collection {collection} holds documents whose ids no record can have, so nobody can read them:"
        f" {', '.join(f'{collection} {one}' for one in ids)}.",
        remedy=f"Store each under an id of 24 hexadecimal digits as text, or remove it; in mongosh, find them: {find}",
        effect=FlawEffect.UNREADABLE,
    )


def _gone(collection: str) -> SchemaFlaw:
    return SchemaFlaw(
        cause=f"The collection {collection} is missing: somebody dropped or renamed it.",
        remedy="Restore it from a copy, or rename it back. To go on with an empty one, type: tandem migrate up",
    )


def _of_validator(spec: RecordSpec[Any], options: Document) -> Iterator[SchemaFlaw]:
    present = validation_of(options)
    if present != validator_options(spec):
        trouble = (
            "is missing: somebody removed it"
            if present == TAKES_NONE
            else _REPLACED
            if present["validator"] != validator_options(spec)["validator"]
            else f"does not reject documents: it is not {' and '.join(ENFORCED.values())}"
        )
        yield SchemaFlaw(
            cause=f"The validator of the collection {spec.collection} {trouble}.", remedy=MIGRATE
        )


def _of_indexes(spec: RecordSpec[Any], present: Mapping[str, Any]) -> Iterator[SchemaFlaw]:
    held = {name: definition_of(index) for name, index in present.items()}
    for model in models_of(spec):
        expected, name = definition_of(model.document), model.document["name"]
        # Under another name it does the same.
        if expected in held.values():
            continue
        kind, is_unique = ("unique key", True) if "unique" in expected else ("index", False)
        yield SchemaFlaw(
            cause=f"The {kind} {name} of the collection {spec.collection} "
            f"{_REPLACED if name in held else _MISSING}.",
            remedy=MIGRATE,
            effect=FlawEffect.UNSAFE if is_unique or _EXPIRES in held.get(name, {}) else FlawEffect.SLOW,
        )


def _of_others(spec: RecordSpec[Any], collection: str, present: Mapping[str, Any]) -> Iterator[SchemaFlaw]:
    """The indexes that somebody added and that reject or remove documents; others only cost time."""
    own = [definition_of(model.document) for model in models_of(spec)]
    names: Collection[str] = {model.document["name"] for model in models_of(spec)}
    for name, index in present.items():
        if name in names or definition_of(index) in own:
            continue
        does = (
            "rejects documents that Tandem writes"
            if index.get("unique")
            else "removes documents"
            if _EXPIRES in index
            else ""
        )
        if does:
            drop = command_on(collection, f"dropIndex({json.dumps(name)})")
            yield SchemaFlaw(
                cause=f"The index {name} of the collection {spec.collection} was made by hand and {does}.",
                remedy=f"Drop it: in mongosh, type: {drop}",
            )
