"""The fields of an entity as stores see them: names, kinds and allowed values. Derived from the entity by rule."""

from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any, get_origin, get_type_hints

from adapters.records.record import camel, optional_of


class FieldKind(Enum):
    """The kind of a field's values; each store has one type for each kind."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    DAY = "day"
    """A plain date; records hold it as text, YYYY-MM-DD."""
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: `name` camelCase in records and documents, `column` snake_case in rows.

    `values` are the allowed values of an enumeration, and `names` their names in the domain; `is_list` distinguishes
    lists from objects among JSON values.
    """

    name: str
    column: str
    kind: FieldKind
    nullable: bool
    values: tuple[str | int, ...] = ()
    names: tuple[str, ...] = ()
    is_list: bool = False


def fields_of(entity: type[Any]) -> tuple[Field, ...]:
    """The fields of a dataclass, in its order."""
    hints = get_type_hints(entity)
    return tuple(_field(field.name, hints[field.name]) for field in fields(entity))


def _field(name: str, hint: Any) -> Field:
    kind, nullable = optional_of(hint)
    members = tuple(kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()
    return Field(
        camel(name),
        name.strip("_"),
        _kind_of(kind),
        nullable,
        values=tuple(member.value for member in members),
        names=tuple(member.name for member in members),
        is_list=get_origin(kind) in (tuple, list),
    )


def _kind_of(kind: Any) -> FieldKind:
    if not isinstance(kind, type):
        return FieldKind.JSON
    if issubclass(kind, bool):
        return FieldKind.BOOLEAN
    if issubclass(kind, IntEnum | int):
        return FieldKind.INTEGER
    if issubclass(kind, StrEnum | str):
        return FieldKind.TEXT
    if issubclass(kind, datetime):
        return FieldKind.INSTANT
    return FieldKind.DAY if issubclass(kind, date) else FieldKind.JSON
