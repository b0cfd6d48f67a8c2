"""Finds all violations of an input, each with its JSON pointer. Runs only after the fast decoding has failed.

Unknown fields, lists that are too long and values of another type are rejected as a whole, without checking their
contents. So rejecting an input takes no longer than reading it.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec
from msgspec import inspect

from domain.errors import VIOLATIONS_MAX, Invalid, Violation
from domain.repeated_names import repeated_names
from domain.storable import pointer_token, violations_in
from entrypoints.http.protocol.patterns import MESSAGES

_DAY_FIELDS = {"dueAt": "dueOn"}
"""Fields for instants, each with the field that holds a day instead."""
_NAMES: dict[type, str] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.StructType: "an object",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.NoneType: "null",
    inspect.DateTimeType: "an instant like 2026-01-31T12:00:00.000Z",
    inspect.DateType: "a day like 2026-01-31",
}
_VALUE_NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    type(None): "null",
}


def violations_against(value: object, kind: type[msgspec.Struct]) -> Iterator[Violation]:
    """The violations of a struct by a tree of JSON values: unknown, missing and invalid fields."""
    return _violations(value, _options(_described(kind)), "")


def invalid(violations: Iterable[Violation], *, most: int = VIOLATIONS_MAX) -> Invalid:
    """The error with the first violation of each pointer, out of the first `most` violations."""
    by_pointer: dict[str, Violation] = {}
    for violation in islice(violations, most):
        by_pointer.setdefault(violation.pointer, violation)
    shown = list(by_pointer.values()) or [Violation("", "does not have the expected form")]
    first = shown[0]
    more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
    return Invalid(f"{first.pointer or 'The body'} {first.message}{more}.", violations=shown)


def parse(raw: bytes) -> tuple[dict[str, Any], list[Violation]]:
    """A JSON object, and the keys that occur more than once in an object, VIOLATIONS_MAX of them at most.

    Raises Invalid for anything but a JSON object.
    """
    repeated: list[str] = []
    is_repeated: list[bool] = []
    if not raw.strip():
        raise invalid([Violation("", "is empty; send a JSON object")])
    try:
        text = raw.decode("utf-8")
        tree = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, is_repeated))
        if is_repeated:
            repeated = repeated_names(text, most=VIOLATIONS_MAX)
    except UnicodeDecodeError as error:
        raise invalid([Violation("", "is not UTF-8")]) from error
    except RecursionError as error:
        raise invalid([Violation("", "is nested too deeply")]) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise invalid([Violation("", f"is not JSON: {error.msg} at {place}")]) from error
    except ValueError as error:
        raise invalid([Violation("", "is not JSON: a number has too many digits")]) from error
    if not isinstance(tree, dict):
        raise invalid([Violation("", "must be a JSON object")])
    return tree, [Violation(pointer, "is given more than once") for pointer in repeated]


def instant_violations(value: datetime, pointer: str) -> Iterator[Violation]:
    """Violations of an instant that no store can hold: finer than a millisecond, or outside the years of UTC."""
    if value.microsecond % 1000:
        yield Violation(pointer, "must not have fractions of a millisecond")
    try:
        value.astimezone(UTC)
    except OverflowError:
        yield Violation(pointer, "must be in the years 1 to 9999 in UTC")


def _object(pairs: list[tuple[str, Any]], is_repeated: list[bool]) -> dict[str, Any]:
    """The object; `is_repeated` is no longer empty once one has a key twice."""
    values = dict(pairs)
    if len(values) < len(pairs) and not is_repeated:
        is_repeated.append(True)
    return values


@lru_cache(maxsize=256)
def _described(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _options(kind: inspect.Type) -> list[inspect.Type]:
    """The types that a value may have; descriptions for OpenAPI are left out."""
    if isinstance(kind, inspect.Metadata):
        return _options(kind.type)
    return (
        [each for option in kind.types for each in _options(option)]
        if isinstance(kind, inspect.UnionType)
        else [kind]
    )


def _violations(value: object, options: list[inspect.Type], pointer: str) -> Iterator[Violation]:
    for option in options:
        if isinstance(option, inspect.StructType) and isinstance(value, Mapping):
            yield from _struct_violations(value, option, pointer)
            return
        if isinstance(option, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
            yield from _list_violations(value, option, pointer)
            return
    message = _misfit(value, options)
    if message is not None:
        day_field = _DAY_FIELDS.get(pointer.rpartition("/")[2])
        is_day = isinstance(value, str) and _day_message(value, options[0]) is None
        yield Violation(
            pointer, f"{message}; a day without a time is {day_field}" if day_field and is_day else message
        )
        return
    for violation in violations_in(value):
        yield Violation(pointer + violation.pointer, violation.message)
    if isinstance(value, str) and any(isinstance(option, inspect.DateTimeType) for option in options):
        yield from instant_violations(msgspec.convert(value, datetime), pointer)


def _struct_violations(
    value: Mapping[str, object], struct: inspect.StructType, pointer: str
) -> Iterator[Violation]:
    known = {*(field.encode_name for field in struct.fields), struct.tag_field}
    for name in value:
        if name not in known:
            for violation in violations_in({name: None}):
                yield Violation(pointer + violation.pointer, violation.message)
            yield Violation(f"{pointer}/{pointer_token(name)}", "is not a known field")
    for field in struct.fields:
        at = f"{pointer}/{pointer_token(field.encode_name)}"
        if field.encode_name in value:
            yield from _violations(value[field.encode_name], _options(field.type), at)
        elif field.required:
            yield Violation(at, "is required")


def _list_violations(
    values: list[object], kind: inspect.ListType | inspect.VarTupleType, pointer: str
) -> Iterator[Violation]:
    if message := _length_message(len(values), kind, "elements"):
        yield Violation(pointer, message)
        return
    options = _options(kind.item_type)
    if not isinstance(options[0], inspect.AnyType | inspect.RawType):
        for index, element in enumerate(values):
            yield from _violations(element, options, f"{pointer}/{index}")


def _misfit(value: object, options: list[inspect.Type]) -> str | None:
    """The message for a value that is neither an object nor a list; None if it has one of the types."""
    messages = [_misfit_of(value, option) for option in options]
    if None in messages:
        return None
    if value is None:
        return "cannot be null"
    specific = [message for message in messages if message]
    if specific:
        return specific[0]
    expected = " or ".join(_NAMES.get(type(option), "another value") for option in options)
    return f"must be {expected}, not {_VALUE_NAMES.get(type(value), 'a list')}"


def _misfit_of(value: object, kind: inspect.Type) -> str | None:
    """None if the value has the type, an empty text if it has another type altogether, otherwise the message."""
    if isinstance(kind, inspect.EnumType | inspect.LiteralType):
        choices = (
            sorted(kind.values, key=_by_name)
            if isinstance(kind, inspect.LiteralType)
            else [each.value for each in kind.cls]
        )
        is_one = not isinstance(value, dict | list) and value in choices
        return None if is_one else f"must be one of {', '.join(map(str, choices))}"
    if isinstance(kind, inspect.AnyType | inspect.RawType):
        return None
    accepted, check = _CHECKS.get(type(kind), _NO_SCALAR)
    is_flag = isinstance(value, bool) and bool not in accepted
    return check(value, kind) if isinstance(value, accepted) and not is_flag else ""


def _by_name(value: object) -> tuple[str, bool]:
    """A sort key that puts each order next to its reverse: `name`, `-name`."""
    return str(value).removeprefix("-"), str(value).startswith("-")


def _text_message(text: str, kind: inspect.StrType) -> str | None:
    length = _length_message(len(text), kind, "characters")
    is_unmatched = kind.pattern is not None and re.search(kind.pattern, text) is None
    if (length or is_unmatched) and kind.pattern in MESSAGES:
        return MESSAGES[kind.pattern]
    return length or (f"must match {kind.pattern}" if is_unmatched else None)


def _length_message(
    length: int, kind: inspect.StrType | inspect.ListType | inspect.VarTupleType, unit: str
) -> str | None:
    least, most = kind.min_length or 0, math.inf if kind.max_length is None else kind.max_length
    if length < least:
        return f"must have at least {least} {unit}"
    return f"must have at most {most} {unit}" if length > most else None


def _bound_message(number: Any, kind: inspect.IntType) -> str | None:
    if kind.ge is not None and number < kind.ge:
        return f"must be at least {kind.ge}"
    return f"must be at most {kind.le}" if kind.le is not None and number > kind.le else None


def _instant_message(text: str, _kind: inspect.Type) -> str | None:
    message = f"must be {_NAMES[inspect.DateTimeType]}, with Z or an offset"
    try:
        parsed = msgspec.convert(text, datetime)
    except _NOT_CONVERTED:
        return message
    return message if parsed.tzinfo is None else None


def _day_message(text: str, _kind: inspect.Type) -> str | None:
    try:
        msgspec.convert(text, date)
    except _NOT_CONVERTED:
        return f"must be {_NAMES[inspect.DateType]}"
    return None


def _no_message(_value: object, _kind: inspect.Type) -> None:
    return None


_NOT_CONVERTED = (msgspec.ValidationError, UnicodeEncodeError)
"""The second one is raised for a text with half a surrogate pair."""
_Check = Callable[[Any, Any], str | None]
_NO_SCALAR: tuple[tuple[type, ...], _Check] = ((), _no_message)
_CHECKS: dict[type[inspect.Type], tuple[tuple[type, ...], _Check]] = {
    inspect.NoneType: ((type(None),), _no_message),
    inspect.StrType: ((str,), _text_message),
    inspect.BoolType: ((bool,), _no_message),
    inspect.IntType: ((int,), _bound_message),
    inspect.FloatType: ((int, float), _no_message),
    inspect.DateTimeType: ((str,), _instant_message),
    inspect.DateType: ((str,), _day_message),
}
"""For each scalar type, the Python types of its JSON values and the check of a value."""
