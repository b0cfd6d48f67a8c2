"""Legacy fields: records of other services read in today's form, with other names, other kinds and missing fields.

A store upgrades every record that it reads, and stores it in today's form with its next version. The result depends on
the record alone, so source and target return equal records, whether they have rewritten theirs or not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.records.fields import Field, FieldKind
from adapters.records.record import ID, VERSION, Record, is_tombstone, json_value
from adapters.records.record_schema import RecordSchema
from domain.entity import is_id

FIRST_VERSION = 1
"""The version of a record without one."""
SYSTEM_ID = "000000000000000000000000"
"""The creator of records without one."""


def unchanged(value: Any) -> Any:
    """The legacy value itself."""
    return value


@dataclass(frozen=True, slots=True)
class LegacyField:
    """Another name of a field, and the conversion of its value. The conversion returns None for no value."""

    name: str
    field: str
    read: Callable[[Any], Any] = unchanged


class LegacyFields:
    """The conversion of one collection's old records to today's form.

    `stand_ins` are pairs of a required field and the field whose value replaces it where it is missing; `copies` are
    pairs of an instant that records of other services never have, and the instant that it follows from.
    """

    def __init__(
        self,
        schema: RecordSchema,
        fields: Sequence[Field],
        *,
        defaults: Mapping[str, Any],
        legacy_fields: Sequence[LegacyField] = (),
        stand_ins: Sequence[tuple[str, str]] = (),
        copies: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._schema = schema
        self._fields = {field.name: field for field in fields}
        self._required = frozenset(field.name for field in fields if not field.nullable)
        self._defaults = defaults
        self._legacy_fields = tuple(legacy_fields)
        self._legacy_names = frozenset(legacy.name for legacy in legacy_fields)
        self._stand_ins = tuple(stand_ins)
        self._copies = tuple(copies)

    def upgraded(self, record: Record) -> Record:
        """The record in today's form; the same object where it has that form already.

        A value that cannot be converted stays as it is. The record does not fit its schema then, and reading it as an
        entity raises CorruptRecord.
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
        return self._schema.fits(record) and (
            self._legacy_names.isdisjoint(record) or not any(self._legacy_values(record))
        )

    def _legacy_values(self, record: Record) -> Iterator[tuple[LegacyField, Any]]:
        """The values under legacy names whose field has no value under its present name."""
        for legacy in self._legacy_fields:
            if record.get(legacy.name) is not None and record.get(legacy.field) is None:
                value = legacy.read(record[legacy.name])
                if value is not None:
                    yield legacy, value

    def _renamed(self, record: Record) -> Record:
        """The record under present names. A legacy field with more content than the present one is kept as well."""
        renamed = dict(record)
        for legacy, value in self._legacy_values(record):
            if renamed.get(legacy.field) is None:
                renamed[legacy.field] = value
                if legacy.read is unchanged:
                    del renamed[legacy.name]
        return renamed

    def _complete(self, record: Record) -> None:
        """Fills missing required fields: from the id, from their stand-in, or with the entity's default."""
        for name, value in _stamps_of(record).items():
            self._fill(record, name, value)
        for name, stand_in in self._stand_ins:
            self._fill(record, name, record.get(stand_in))
        for name, value in self._defaults.items():
            self._fill(record, name, deepcopy(value))

        for name, original in self._copies:
            if record.get(name) is None and isinstance(record.get(original), datetime):
                record[name] = record[original]

    def _fill(self, record: Record, name: str, value: Any) -> None:
        if value is not None and name in self._required and record.get(name) is None:
            record[name] = value


def defaults_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The default values of an entity's fields, as record values."""
    found: dict[str, Any] = {VERSION: FIRST_VERSION}
    for member in msgspec.structs.fields(struct):
        if member.default is not msgspec.NODEFAULT:
            found[member.encode_name] = member.default
        elif member.default_factory is not msgspec.NODEFAULT:
            found[member.encode_name] = member.default_factory()
    # Converted through JSON, because records have lists where entities have tuples.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return plain


def _stamps_of(record: Record) -> Record:
    """The stamps of a record without any: made by the service at the time in its id, whose first eight digits count
    seconds.
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
    """The tree with its instants as text, since only document stores have instants there; the same object where it has
    none.
    """
    if isinstance(value, dict):
        items = {key: _tree(item) for key, item in value.items()}
        return value if all(items[key] is value[key] for key in value) else items
    if isinstance(value, list):
        elements = [_tree(item) for item in value]
        return value if all(new is old for new, old in zip(elements, value, strict=True)) else elements
    return json_value(value)


def _member(field: Field, value: Any) -> Any:
    """One of the field's values in any spelling: `in progress` is IN_PROGRESS."""
    if value in field.values or not isinstance(value, str):
        return value
    spelled = value.strip().upper().replace(" ", "_").replace("-", "_")
    return spelled if spelled in field.values else value


def _whole_number(field: Field, value: Any) -> Any:
    """A number stored as a float or as text (`#12` is 12), or the rank of a name (`HIGH` is 1)."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return value
    digits = value.strip().removeprefix("#")
    if digits.isascii() and digits.isdigit():
        return int(digits)
    return dict(zip(field.names, field.values, strict=True)).get(value.strip().upper(), value)


def _instant(value: Any) -> Any:
    """An instant stored without a zone (UTC then) or as a text of ISO 8601."""
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
