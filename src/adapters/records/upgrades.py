"""Old records in today's form: other names, other kinds, fields that came later.

A record is upgraded whenever a store reads it, and stored in its new form with its next version. Upgrading looks at
nothing but the record, so source and target, whichever of them has rewritten it already, give the same one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.records.fields import Field, FieldKind
from adapters.records.record import ID, VERSION, Record, is_tombstone, json_value
from adapters.records.shape import Shape
from domain.entity import is_id

FIRST_VERSION = 1
"""The version of a record from before there were versions."""
SYSTEM_ID = "000000000000000000000000"
"""Who made what nobody is named for."""


def as_it_was(value: Any) -> Any:
    """The old value itself."""
    return value


@dataclass(frozen=True, slots=True)
class Former:
    """A name that a field had before, and how its value of then is read. None says that it held nothing."""

    name: str
    field: str
    read: Callable[[Any], Any] = as_it_was


class Upgrades:
    """How the old records of one collection become today's.

    `stand_ins` are pairs of a required field and another one that says the same in a record that lacks it.
    """

    def __init__(
        self,
        shape: Shape,
        fields: Sequence[Field],
        *,
        defaults: Mapping[str, Any],
        formers: Sequence[Former] = (),
        stand_ins: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._shape = shape
        self._fields = {field.name: field for field in fields}
        self._required = frozenset(field.name for field in fields if not field.nullable)
        self._defaults = defaults
        self._formers = tuple(formers)
        self._former_names = frozenset(former.name for former in formers)
        self._stand_ins = tuple(stand_ins)

    def upgraded(self, record: Record) -> Record:
        """The record in today's form; the same object where it has it already.

        What cannot be read stays as it is: the record does not fit then, and its entity says why.
        """
        if self._is_current(record) or is_tombstone(record):
            return record
        renamed = self._renamed(record)
        for name, value in renamed.items():
            field = self._fields.get(name)
            if isinstance(value, dict | list):
                renamed[name] = _tree(value)
            elif field is not None and value is not None:
                renamed[name] = _converted(field, value)
        self._complete(renamed)
        is_same = renamed.keys() == record.keys() and all(renamed[name] is record[name] for name in record)
        return record if is_same else renamed

    def _is_current(self, record: Record) -> bool:
        return self._shape.fits(record) and (
            self._former_names.isdisjoint(record) or not any(self._told(record))
        )

    def _told(self, record: Record) -> Iterator[tuple[Former, Any]]:
        """What old names still tell: of fields that hold nothing under their new one."""
        for former in self._formers:
            if record.get(former.name) is not None and record.get(former.field) is None:
                value = former.read(record[former.name])
                if value is not None:
                    yield former, value

    def _renamed(self, record: Record) -> Record:
        """What only had another name has the new one alone; what told more than today's field stays beside it."""
        renamed = dict(record)
        for former, value in self._told(record):
            if renamed.get(former.field) is None:
                renamed[former.field] = value
                if former.read is as_it_was:
                    del renamed[former.name]
        return renamed

    def _complete(self, record: Record) -> None:
        """Fills what is required today: from the id, from what stands in for it, or with the entity's default."""
        for name, value in _stamps_of(record).items():
            self._fill(record, name, value)
        for name, stand_in in self._stand_ins:
            self._fill(record, name, record.get(stand_in))
        for name, value in self._defaults.items():
            self._fill(record, name, deepcopy(value))

    def _fill(self, record: Record, name: str, value: Any) -> None:
        if value is not None and name in self._required and record.get(name) is None:
            record[name] = value


def defaults_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The record values that fields take where an entity does not say otherwise."""
    found: dict[str, Any] = {VERSION: FIRST_VERSION}
    for member in msgspec.structs.fields(struct):
        if member.default is not msgspec.NODEFAULT:
            found[member.encode_name] = member.default
        elif member.default_factory is not msgspec.NODEFAULT:
            found[member.encode_name] = member.default_factory()
    # By way of JSON, which knows lists where entities have tuples.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return plain


def _stamps_of(record: Record) -> Record:
    """The stamps of a record from before there were any: made by the service, at the time its id tells, whose first
    eight digits count seconds.
    """
    record_id = record.get(ID)
    if not isinstance(record_id, str) or not is_id(record_id):
        return {}
    return {"createdAt": datetime.fromtimestamp(int(record_id[:8], 16), UTC), "createdBy": SYSTEM_ID}


def _converted(field: Field, value: Any) -> Any:
    match field.kind:
        case FieldKind.TEXT if field.values:
            return _member(field, value)
        case FieldKind.INTEGER:
            return _whole_number(field, value)
        case FieldKind.BOOLEAN:
            return bool(value) if type(value) is int and value in (0, 1) else value
        case FieldKind.INSTANT:
            return _instant(value)
        case _:
            return value


def _tree(value: Any) -> Any:
    """The tree with the instants in it as text, since no store but document stores has them there; the same object
    where there are none.
    """
    if isinstance(value, dict):
        items = {key: _tree(item) for key, item in value.items()}
        return value if all(items[key] is value[key] for key in value) else items
    if isinstance(value, list):
        elements = [_tree(item) for item in value]
        return value if all(new is old for new, old in zip(elements, value, strict=True)) else elements
    return json_value(value)


def _member(field: Field, value: Any) -> Any:
    """One of the field's values, however it was written: `in progress` is IN_PROGRESS."""
    if value in field.values or not isinstance(value, str):
        return value
    spelled = value.strip().upper().replace(" ", "_").replace("-", "_")
    return spelled if spelled in field.values else value


def _whole_number(field: Field, value: Any) -> Any:
    """A number that was kept as a float or as text (`#12` is 12), or the rank of a name."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return value
    digits = value.strip().removeprefix("#")
    if digits.isascii() and digits.isdigit():
        return int(digits)
    return dict(zip(field.names, field.values, strict=True)).get(value.strip().upper(), value)


def _instant(value: Any) -> Any:
    """An instant that was kept without its zone (it is UTC then) or as a text of ISO 8601."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return value
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    elif value.microsecond % 1_000 == 0:
        return value
    return value.astimezone(UTC).replace(microsecond=value.microsecond // 1_000 * 1_000)
