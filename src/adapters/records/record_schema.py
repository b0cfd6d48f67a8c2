"""The record schema: which records can be stored, checked alike for every store before the store is called.

The stores reject other programs' writes by constraints derived from the same fields: MongoDB by a validator, PostgreSQL
by checks. The schema bounds no lengths: the domain does, and an old text that is longer must still be mirrored.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

from adapters.records.fields import Field, FieldKind
from adapters.records.record import ID, VERSION, Record, is_tombstone
from domain.errors import RuleBroken, Violation

_TYPES: dict[FieldKind, Any] = {
    FieldKind.TEXT: str,
    FieldKind.INTEGER: int,
    FieldKind.BOOLEAN: bool,
    FieldKind.INSTANT: Annotated[datetime, msgspec.Meta(tz=True)],
    FieldKind.DAY: date,
}
_WORDS = {
    FieldKind.TEXT: "must be text",
    FieldKind.INTEGER: "must be a whole number",
    FieldKind.BOOLEAN: "must be true or false",
    FieldKind.INSTANT: "must be an instant with its zone",
    FieldKind.DAY: "must be a day such as 2026-01-31",
}


class RecordSchema:
    """The kinds of a collection's fields, which of them are required, and which values are allowed.

    Unknown fields are ignored. A tombstone only needs its id and version.
    """

    def __init__(self, collection: str, fields: Sequence[Field]) -> None:
        self.collection = collection
        self._fields = {field.name: field for field in fields}
        self._whole = _struct(collection, fields)
        self._left = _struct(collection, [field for field in fields if field.name in (ID, VERSION)])
        # As trees are checked for their kind only, msgspec need not walk through them.
        self._trees = tuple(
            (field.name, _tree_types(field)) for field in fields if field.kind is FieldKind.JSON
        )

    def fits(self, record: Record) -> bool:
        """Whether all fields of the record can be stored."""
        is_left = is_tombstone(record)
        try:
            msgspec.convert(record, self._left if is_left else self._whole, builtin_types=(datetime,))
        except msgspec.ValidationError:
            return False
        return is_left or all(isinstance(record.get(name), kinds) for name, kinds in self._trees)

    def require(self, record: Record) -> None:
        """Raises RuleBroken with every field that does not fit. Values are never shown: some are secret."""
        if self.fits(record):
            return
        violations = list(self._violations(record))
        names = ", ".join(violation.pointer.removeprefix("/") for violation in violations)
        raise RuleBroken(f"This does not fit into {self.collection}: {names}.", violations=violations)

    def _violations(self, record: Record) -> Iterator[Violation]:
        checked = (ID, VERSION) if is_tombstone(record) else self._fields
        for name in checked:
            field, value = self._fields[name], record.get(name)
            if value is None:
                if not field.nullable:
                    yield Violation(f"/{name}", "is required")
            elif not _holds(field, value):
                yield Violation(f"/{name}", _demand(field))


def _struct(collection: str, fields: Sequence[Field]) -> type[msgspec.Struct]:
    """The struct that msgspec checks records against; only nullable fields may be missing."""
    members = [_member(field) for field in fields if field.kind is not FieldKind.JSON]
    return msgspec.defstruct(f"{collection}_schema", members, kw_only=True)


def _member(field: Field) -> tuple[str, Any] | tuple[str, Any, None]:
    kind = _type_of(field)
    return (field.name, kind | None, None) if field.nullable else (field.name, kind)


def _type_of(field: Field) -> Any:
    return Literal[field.values] if field.values else _TYPES[field.kind]


def _tree_types(field: Field) -> tuple[type, ...]:
    kinds: tuple[type, ...] = (list, tuple) if field.is_list else (dict,)
    return (*kinds, type(None)) if field.nullable else kinds


def _holds(field: Field, value: Any) -> bool:
    if field.kind is FieldKind.JSON:
        return isinstance(value, _tree_types(field))
    try:
        msgspec.convert(value, _type_of(field), builtin_types=(datetime,))
    except msgspec.ValidationError:
        return False
    return True


def _demand(field: Field) -> str:
    if field.values:
        return f"must be one of {', '.join(map(str, field.values))}"
    if field.kind is FieldKind.JSON:
        return "must be a list" if field.is_list else "must be an object"
    return _WORDS[field.kind]
