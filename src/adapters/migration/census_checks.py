"""What a census looks for in one record: values that the target rejects or would change, and unresolved references."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from adapters.migration.fingerprints import with_zones
from adapters.records.fields import FieldKind
from adapters.records.record import ID, IS_ERASED, Record, is_tombstone
from adapters.records.specs import AUDIT_LOGS, SPECS, RecordSpec
from domain.entity import is_id
from domain.errors import RuleBroken
from domain.storable import violations_in

INDEXED_BYTES_MAX: Final = 2_600
"""The longest text that fits into an index of PostgreSQL, with some room for the other columns."""
NO_REFERENCE: Final = frozenset({"000000000000000000000000"})
"""The creator of records that no person created."""

REFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "sessions": {"userId": "users"},
    "api_tokens": {"userId": "users"},
    "teams": {"ownerId": "users", "pocId": "users"},
    "team_members": {"teamId": "teams", "userId": "users"},
    "projects": {"ownerId": "users", "teamId": "teams"},
    "timelines": {ID: "projects"},
    "tasks": {
        "ownerId": "users",
        "teamId": "teams",
        "projectId": "projects",
        "parentId": "tasks",
        "labelIds": "labels",
        "executorId": "users",
    },
    "task_assignments": {"taskId": "tasks", "executorId": "users"},
    "watchlists": {"userId": "users", "taskId": "tasks"},
}
"""By collection and field: the collection that holds the record referred to."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a census says about a kind of trouble. `blocks`: the target cannot hold the record as it is."""

    code: str
    consequence: str
    remedy: str
    blocks: bool = True


NUL = Trouble(
    "nul_character",
    "PostgreSQL cannot hold the NUL character in a text; the record would be quarantined.",
    "Remove the character from the record.",
)
SURROGATE = Trouble(
    "invalid_text",
    "A text is no valid Unicode, which PostgreSQL rejects; the record would be quarantined.",
    "Correct the text of the record.",
)
RANGE = Trouble(
    "number_out_of_range",
    "A number is beyond 63 bits, or not finite; PostgreSQL cannot hold it in its column.",
    "Correct the number.",
)
DEEP = Trouble("too_deep", "A value is nested too deeply to be read again.", "Flatten the value.")
KIND = Trouble(
    "does_not_fit",
    "A field has a value of another kind, a value that is not allowed, or is missing; the target rejects the record.",
    "Correct the field. `tandem doctor` names such records, too.",
)
FOREIGN = Trouble(
    "foreign_type",
    "A value has a type that only BSON has (Decimal128, Binary, Regex, …); the target would have to alter it.",
    "Replace the value by text or a number, or remove the field.",
)
NESTED_INSTANT = Trouble(
    "nested_instant",
    "An instant lies inside of a list or an object; the target would hold it as text.",
    "Store it as text.",
)
INSTANT = Trouble(
    "instant_out_of_range",
    "An instant is not between the years 1 and 9999; nothing here can read it.",
    "Correct the instant.",
)
LONG = Trouble(
    "too_long_for_index",
    f"A text of an indexed field is longer than {INDEXED_BYTES_MAX} bytes, which PostgreSQL cannot index.",
    "Shorten the text.",
)
ID_FORM = Trouble(
    "foreign_id",
    "The id does not have 24 lower-case hex digits; references and addresses cannot name the record.",
    "Give the record another id, and its references, too.",
)
UNKNOWN = Trouble(
    "unknown_fields",
    "Fields that Tandem does not know are kept as they are, and returned.",
    "Nothing needs to be done.",
    blocks=False,
)
OLD = Trouble(
    "old_form",
    "The record has an older form; the target receives it in today's.",
    "Nothing needs to be done.",
    blocks=False,
)

_BY_WORDS = (("NUL", NUL), ("surrogate", SURROGATE), ("nested", DEEP), ("63 bits", RANGE), ("finite", RANGE))


def troubles_of(spec: RecordSpec[Any], raw: Record) -> Iterator[Trouble]:
    """Every kind of trouble with one record; the same one may come several times."""
    record_id = raw[ID]
    if not is_id(record_id):
        yield ID_FORM
    stored = with_zones(raw)
    record = spec.upgraded(stored) if spec is not AUDIT_LOGS else stored
    if record is not stored:
        yield OLD
    yield from _values(record)
    if not _fits(spec, record):
        yield KIND
    known = {field.name for field in spec.fields} | {IS_ERASED}
    if record.keys() - known:
        yield UNKNOWN
    if any(_bytes(record.get(name)) > INDEXED_BYTES_MAX for name in _indexed(spec)):
        yield LONG


def references_of(collection: str, record: Record) -> Iterator[tuple[str, str]]:
    """The collection and id of each record that this one refers to."""
    if is_tombstone(record):
        return
    for name, other in REFERENCES.get(collection, {}).items():
        value = record.get(name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and each not in NO_REFERENCE:
                yield other, each


def _fits(spec: RecordSpec[Any], record: Record) -> bool:
    try:
        spec.schema.require(record)
    except RuleBroken:
        return False
    return True


def _values(record: Record) -> Iterator[Trouble]:
    for value in record.values():
        if isinstance(value, str | int | float | dict | list):
            for violation in violations_in(value):
                yield next(trouble for word, trouble in _BY_WORDS if word in violation.message)
            yield from _inside(value)
        elif value is not None and not isinstance(value, datetime):
            yield _foreign(value)


def _inside(value: Any) -> Iterator[Trouble]:
    """Values inside of a tree that JSON does not have."""
    pending = [value] if isinstance(value, dict | list) else []
    while pending:
        tree = pending.pop()
        for part in tree.values() if isinstance(tree, dict) else tree:
            if isinstance(part, dict | list):
                pending.append(part)
            elif isinstance(part, datetime):
                yield NESTED_INSTANT
            elif part is not None and not isinstance(part, str | int | float):
                yield _foreign(part)


def _foreign(value: Any) -> Trouble:
    # The drivers keep instants that Python cannot hold as numbers of a type of their own.
    return INSTANT if type(value).__name__ == "DatetimeMS" else FOREIGN


def _bytes(value: Any) -> int:
    if not isinstance(value, str) or len(value) * 4 <= INDEXED_BYTES_MAX:
        return 0
    return len(value.encode("utf-8", "surrogatepass"))


def _indexed(spec: RecordSpec[Any]) -> frozenset[str]:
    return _INDEXED[spec.collection]


def _indexed_texts(spec: RecordSpec[Any]) -> frozenset[str]:
    names = [name for index in spec.indexes for name in index.fields]
    names += [name for key in spec.unique_keys for name in key.fields]
    return frozenset(name for name in names if spec.field(name).kind is FieldKind.TEXT)


_INDEXED = {spec.collection: _indexed_texts(spec) for spec in SPECS.values()}
