"""Reads the fields of one original by name, and keeps what no field of Tandem takes over exactly."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from adapters.records.originals import Original
from adapters.records.record import instant_text
from domain.entity import is_id
from domain.storable import INTEGER_MAX, INTEGER_MIN
from domain.user import FIRST_INSTANT, LAST_INSTANT

T = TypeVar("T")

ORIGINAL: Final = "original"
"""The field of a record that keeps what its entity has no field for: a list of parts of documents, as extended JSON."""
_NUMBERS: Final = ("$numberInt", "$numberLong", "$numberDouble")
_FLAGS: Final[Mapping[int | None, bool]] = {0: False, 1: True}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUL, _NUL_SHOWN = "\0", "\u2400"
"""No store but MongoDB holds the NUL character; its visible symbol takes its place."""


class DocumentFields:
    """The fields of one document. Each reader takes the first of its names that has a value it can read.

    `replaced` names the fields whose values could not be read. They are kept, as all fields are that nothing reads.
    """

    def __init__(self, original: Original) -> None:
        self.original = original
        self.replaced: list[str] = []
        self._left = {name: value for name, value in original.fields.items() if name != "_id"}

    @property
    def id(self) -> str:
        """The id of the document."""
        return self.original.id

    def text(self, *names: str) -> str | None:
        """A text; a NUL character in it is shown by its symbol."""
        for name, value in self._present(names):
            if isinstance(value, str):
                if _NUL in value:
                    self.replaced.append(name)
                    return value.replace(_NUL, _NUL_SHOWN)
                return self._taken(name, value)
            self.replaced.append(name)
        return None

    def reference(self, *names: str) -> str | None:
        """An id of another document, stored as an ObjectId or as its digits."""
        for name, value in self._present(names):
            found = reference_in(value)
            if found is not None:
                return self._taken(name, found)
            self.replaced.append(name)
        return None

    def references(self, *names: str) -> tuple[str, ...]:
        """A list of ids, sorted, each once."""
        for name, value in self._present(names):
            found = [reference_in(one) for one in value] if isinstance(value, list) else [None]
            if None not in found:
                self._taken(name, None)
            else:
                self.replaced.append(name)
            return tuple(sorted({one for one in found if one is not None}))
        return ()

    def instant(self, *names: str) -> datetime | None:
        """An instant, stored as a date or as a text of ISO 8601 (UTC where it names no zone)."""
        for name, value in self._present(names):
            found = instant_in(value)
            if found is not None:
                return self._taken(name, found)
            self.replaced.append(name)
        return None

    def number(self, *names: str) -> int | None:
        """A whole number of at most 63 bits, stored as a number of any kind or as text (`#12` is 12)."""
        for name, value in self._present(names):
            found = number_in(value)
            if found is not None:
                return self._taken(name, found)
            self.replaced.append(name)
        return None

    def flag(self, *names: str) -> bool | None:
        """Yes or no, also as 1 or 0."""
        for name, value in self._present(names):
            found = value if isinstance(value, bool) else _FLAGS.get(number_in(value))
            if found is not None:
                return self._taken(name, found)
            self.replaced.append(name)
        return None

    def member(self, names: tuple[str, ...], members: Mapping[str, Any]) -> Any:
        """One of the members, by its name in any spelling or by its value; None where there is none."""
        for name, value in self._present(names):
            found = members.get(spelled(value))
            if found is not None:
                return self._taken(name, found)
            self.replaced.append(name)
        return None

    def within(self, name: str) -> "DocumentFields":
        """The fields of an object inside of the document, which itself is kept."""
        value = self._left.get(name)
        fields = value if isinstance(value, dict) else {}
        return DocumentFields(Original(collection=self.original.collection, id=self.id, fields=fields))

    def keep(self, *names: str) -> None:
        """Keeps fields although they were read, because what they were turned into says less."""
        for name in names:
            if name in self.original.fields:
                self._left[name] = self.original.fields[name]

    def left(self) -> dict[str, Any]:
        """The fields that nothing has taken over, except those without a value."""
        return {name: value for name, value in self._left.items() if value is not None}

    def rest(self) -> dict[str, str] | None:
        """What is to be kept: None where everything was taken over."""
        left = self.left()
        return part_of(self.original, left) if left else None

    def whole(self) -> dict[str, str]:
        """The whole document, for one that becomes part of another record."""
        return part_of(self.original, self.original.fields)

    def _present(self, names: tuple[str, ...]) -> list[tuple[str, Any]]:
        return [(name, value) for name in names if (value := self._left.get(name)) is not None]

    def _taken(self, name: str, value: T) -> T:
        del self._left[name]
        return value


def part_of(original: Original, fields: Mapping[str, Any]) -> dict[str, str]:
    """Fields of a document in the form in which a record keeps them: text in ASCII, which every store holds."""
    text = json.dumps(fields, separators=(",", ":"))
    return {"collection": original.collection, "id": original.id, "fields": text}


def reference_in(value: Any) -> str | None:
    """The 24 digits of a reference."""
    if isinstance(value, dict):
        value = value.get("$oid")
    if not isinstance(value, str):
        return None
    digits = value.strip().lower()
    return digits if is_id(digits) else None


def instant_in(value: Any) -> datetime | None:
    """The instant (aware, whole milliseconds) of a value, from the year 1 to 9999."""
    if isinstance(value, dict):
        milliseconds = number_in(value.get("$date"))
        if milliseconds is None:
            return None
        try:
            return _EPOCH + timedelta(milliseconds=milliseconds)
        except OverflowError:
            return None
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    whole = aware.replace(microsecond=aware.microsecond // 1_000 * 1_000)
    return whole if FIRST_INSTANT <= whole <= LAST_INSTANT else None


def number_in(value: Any) -> int | None:
    """The whole number of a value; None where it is none."""
    if isinstance(value, dict):
        value = next((value[name] for name in _NUMBERS if name in value), None)
    if not isinstance(value, str):
        return None
    digits = value.strip().removeprefix("#").removesuffix(".0")
    if not digits.removeprefix("-").isdigit() or not digits.isascii():
        return None
    number = int(digits)
    return number if INTEGER_MIN <= number <= INTEGER_MAX else None


def spelled(value: Any) -> str:
    """A name as members of enumerations are named: `in progress` is IN_PROGRESS, and 1 is `1`."""
    if isinstance(value, str):
        return value.strip().upper().replace(" ", "_").replace("-", "_")
    return str(number_in(value))


def born_at(document_id: str) -> datetime:
    """The time in an ObjectId, whose first eight digits count seconds."""
    return datetime.fromtimestamp(int(document_id[:8], 16), UTC)


def shown(value: Any) -> str | bool | int:
    """A value of extended JSON as people read it: ids as digits, instants as RFC 3339, trees as JSON."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.replace(_NUL, _NUL_SHOWN)
    number, instant = number_in(value), instant_in(value)
    if isinstance(number, int):
        return number
    return reference_in(value) or (json.dumps(value) if instant is None else instant_text(instant))
