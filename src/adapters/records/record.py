"""Records: the store-neutral dictionary of one entity, and the one mapping from and to it.

A record is flat: camelCase keys; values are None, bool, int, float, str, aware datetime (whole milliseconds), or a
tree of JSON values. A document is the record with `id` as `_id`; a row is derived by rule. Two msgspec conversions
in C do the work: entity → mirror struct (camelCase names) → record, and back.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from domain.errors import Unavailable

Record = dict[str, Any]
E = TypeVar("E")

ID = "id"
VERSION = "version"
IS_DELETED = "isDeleted"
IS_ERASED = "isErased"
"""Set in tombstones only: what remains of a permanently removed record."""


class CorruptRecord(Unavailable):
    """A stored record does not fit its entity, or cannot be decoded. `record_id` is None where nobody can tell, and in
    brackets where it is no text, as ids of records are.
    """

    def __init__(self, message: str, *, record_id: str | None = None) -> None:
        super().__init__(message)
        self.record_id = record_id


def camel(name: str) -> str:
    """The name of a field in records and over HTTP."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


_STRUCTS: dict[type[Any], type[msgspec.Struct]] = {}


def mirror_struct(entity: type[Any]) -> type[msgspec.Struct]:
    """A struct with the dataclass's fields under their camelCase names; nested dataclasses likewise."""
    if entity not in _STRUCTS:
        _STRUCTS[entity] = _new_mirror_struct(entity)
    return _STRUCTS[entity]


def _new_mirror_struct(entity: type[Any]) -> type[msgspec.Struct]:
    hints = get_type_hints(entity)
    members: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for field in fields(entity):
        names[field.name] = camel(field.name)
        kind = _mirrored(hints[field.name])
        # Absent fields of old records take the entity's defaults; required ones stay required.
        member = (field.name, kind) if not _has_default(field) else (field.name, kind, _default(field))
        members.append(member)
    return msgspec.defstruct(f"{entity.__name__}Record", members, rename=names, kw_only=True)


def _has_default(field: Any) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _default(field: Any) -> Any:
    value = field.default
    return _to_mirror(value) if is_dataclass(value) else value


def _to_mirror(value: Any) -> Any:
    return msgspec.field(
        default_factory=lambda: msgspec.convert(value, mirror_struct(type(value)), from_attributes=True)
    )


def _mirrored(hint: Any) -> Any:
    """The same type with every dataclass in it replaced by its mirror struct."""
    if is_dataclass(hint) and isinstance(hint, type):
        return mirror_struct(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return Union[tuple(_mirrored(argument) for argument in arguments)]  # noqa: UP007 - built at run time
    if origin is tuple and arguments[-1] is Ellipsis:
        return list[_mirrored(arguments[0])]  # type: ignore[misc] # documents and rows return lists
    if origin is not None and arguments:
        return origin[tuple(_mirrored(argument) for argument in arguments)]
    return hint


@dataclass(frozen=True, slots=True)
class RecordMapping(Generic[E]):
    """Entity ↔ record for one entity type."""

    entity: type[E]
    struct: type[msgspec.Struct]

    def to_record(self, entity: E) -> Record:
        """Every field of the entity; instants stay datetimes, everything nested becomes JSON values."""
        mirror = msgspec.convert(entity, self.struct, from_attributes=True)
        record: Record = msgspec.to_builtins(mirror, builtin_types=(datetime,))
        return record

    def from_record(self, record: Mapping[str, Any]) -> E:
        """The entity, without the record's unknown fields. Raises CorruptRecord where the record does not fit."""
        try:
            mirror = msgspec.convert(record, self.struct)
            return msgspec.convert(mirror, self.entity, from_attributes=True)
        except (msgspec.ValidationError, ValueError, TypeError) as error:
            held = record.get(ID)
            record_id = held if isinstance(held, str) else f"({held})"
            kind = self.entity.__name__
            message = f"The stored {kind} {record_id} is damaged and cannot be read: {error}. Restore it from a copy."
            raise CorruptRecord(message, record_id=record_id) from error


def mapping_of(entity: type[E]) -> RecordMapping[E]:
    """The mapping of an entity type."""
    return RecordMapping(entity, mirror_struct(entity))


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`: the format of instants inside JSON values and over HTTP."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def json_value(value: Any) -> Any:
    """A record's value as a JSON value."""
    return instant_text(value) if isinstance(value, datetime) else value


def tombstone(record_id: str, version: int) -> Record:
    """What remains of a permanently removed record: enough to reject every late replay."""
    return {ID: record_id, VERSION: version, IS_DELETED: True, IS_ERASED: True}


def is_tombstone(record: Mapping[str, Any]) -> bool:
    """Whether only a tombstone is left of the record."""
    return record.get(IS_ERASED) is True


def optional_of(hint: Any) -> tuple[Any, bool]:
    """A type without its None, and whether None was allowed."""
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    inner = [argument for argument in get_args(hint) if argument is not NoneType]
    return (inner[0] if len(inner) == 1 else hint), len(inner) < len(get_args(hint))
