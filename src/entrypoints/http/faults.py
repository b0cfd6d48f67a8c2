"""Finds everything that is wrong with an input at once. Runs only after the one fast decode has failed.

What cannot be meant is refused as a whole, and nobody looks into it: an unknown field, a list that is too long, a list
where a word belongs. So it takes no longer to refuse an input than to read it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from domain.errors import Violation
from domain.storable import pointer_token, violations_in

_NAMES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
    "datetime": "an instant like 2026-01-31T12:00:00.000Z",
    "date": "a day like 2026-01-31",
}
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`")
_LENGTH = re.compile(r"Expected `(?P<kind>str|array)` of length (?P<sign>>=|<=|==) (?P<bound>\d+)")
_BOUND = re.compile(r"Expected `(?:int|float)` (?P<sign>>=|<=) (?P<bound>-?\d+)")
_PATTERN = re.compile(r"Expected `str` matching regex '(?P<pattern>.*)'")
_PATTERNS = {
    "^[0-9a-f]{24}$": "must be an id: 24 lower-case hexadecimal digits",
    "^#[0-9a-f]{6}$": "must be a colour written #rrggbb, lower case",
    "^(labels|assignee)(,(labels|assignee))*$": "must be one or more of labels, assignee, separated by commas",
}
"""What a pattern means. It is said of every text that does not fit, be it only too short or too long."""
_LENGTH_WORDS = {">=": "at least", "<=": "at most", "==": "exactly"}


def violations_against(value: object, kind: Any, pointer: str = "") -> Iterator[Violation]:
    """Each violation of a tree of JSON values against a type: unknown, missing and unfit fields, with pointers."""
    kind = _plain(kind)
    struct = _struct_in(kind)
    list_kind = _list_in(kind)
    if struct is not None and isinstance(value, Mapping):
        yield from _struct_violations(value, struct, pointer)
    elif list_kind is not None and isinstance(value, list):
        misfit = _misfit(value, _with_bounds(list_kind), pointer)
        yield from [misfit] if misfit else _element_violations(value, get_args(_bare(list_kind))[0], pointer)
    else:
        yield from _value_violations(value, kind, pointer)


def instant_violations(value: datetime, pointer: str) -> Iterator[Violation]:
    """What no store could keep of an instant: anything finer than a millisecond, anything outside UTC's years."""
    if value.microsecond % 1000:
        yield Violation(pointer, "must not be finer than a millisecond")
    try:
        value.astimezone(UTC)
    except OverflowError:
        yield Violation(pointer, "lies outside the years 1 to 9999")


def _element_violations(values: list[object], element: Any, pointer: str) -> Iterator[Violation]:
    """The violations of the elements of a list that is not too long. What fits may still be more than a store can hold;
    only what may be anything is not looked into here.
    """
    for index, value in enumerate(values):
        try:
            msgspec.convert(value, element)
        except msgspec.ValidationError:
            yield from violations_against(value, element, f"{pointer}/{index}")
        else:
            if element is not object:
                yield from _unstorable(value, f"{pointer}/{index}")


def _struct_violations(
    value: Mapping[str, object], struct: type[msgspec.Struct], pointer: str
) -> Iterator[Violation]:
    fields, hints = _fields_of(struct)
    known = {*(field.encode_name for field in fields), struct.__struct_config__.tag_field}
    for name in value:
        if name not in known:
            yield from _unstorable({name: None}, pointer)
            yield Violation(f"{pointer}/{pointer_token(name)}", "is not a known field")
    for field in fields:
        at = f"{pointer}/{pointer_token(field.encode_name)}"
        if field.encode_name in value:
            yield from violations_against(value[field.encode_name], hints[field.name], at)
        elif field.required:
            yield Violation(at, "is required")


@lru_cache(maxsize=256)
def _fields_of(struct: type[msgspec.Struct]) -> tuple[tuple[msgspec.structs.FieldInfo, ...], dict[str, Any]]:
    return msgspec.structs.fields(struct), get_type_hints(struct, include_extras=True)


def _value_violations(value: object, kind: Any, pointer: str) -> Iterator[Violation]:
    if misfit := _misfit(value, kind, pointer):
        yield misfit
        return
    yield from _unstorable(value, pointer)
    converted = msgspec.convert(value, kind)
    if isinstance(converted, datetime):
        yield from instant_violations(converted, pointer)


def _misfit(value: object, kind: Any, pointer: str) -> Violation | None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return Violation(pointer, _sentence(str(error), value, kind))
    return None


def _unstorable(value: object, pointer: str) -> Iterator[Violation]:
    for violation in violations_in(value):
        yield Violation(pointer + violation.pointer, violation.message)


def _sentence(message: str, value: object, kind: Any) -> str:
    """The library's message in the words of people."""
    choices = _choices(kind)
    if value is None:
        return "cannot be null"
    if choices is not None:
        return f"must be one of {', '.join(choices)}"
    if isinstance(value, str) and (meaning := _meaning(kind)):
        return meaning
    for pattern, words in _SENTENCES:
        if found := pattern.search(message):
            return words(found)
    return "does not have the expected form"


def _length_words(found: re.Match[str]) -> str:
    what = "characters" if found["kind"] == "str" else "elements"
    return f"must have {_LENGTH_WORDS[found['sign']]} {found['bound']} {what}"


def _bound_words(found: re.Match[str]) -> str:
    return f"must be {_LENGTH_WORDS[found['sign']]} {found['bound']}"


def _pattern_words(found: re.Match[str]) -> str:
    return f"must match {found['pattern']}"


def _expected_words(found: re.Match[str]) -> str:
    return f"must be {_named(found['wanted'])}, not {_named(found['got'])}"


_SENTENCES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (_LENGTH, _length_words),
    (_BOUND, _bound_words),
    (_PATTERN, _pattern_words),
    (_EXPECTED, _expected_words),
    (re.compile("datetime|timezone"), lambda _: f"must be {_NAMES['datetime']}, with Z or an offset"),
    (re.compile("date"), lambda _: f"must be {_NAMES['date']}"),
)


def _named(kinds: str) -> str:
    names = [_NAMES.get(kind.strip(), kind.strip()) for kind in kinds.split("|")]
    return " or ".join(names)


def _choices(kind: Any) -> list[str] | None:
    """The values a type is made of, where it has a fixed set of them; null, which some may have besides, is none."""
    for part in map(_bare, _parts(kind)):
        if isinstance(part, type) and issubclass(part, Enum):
            return [str(member.value) for member in part]
        if get_origin(part) is Literal:
            return [str(value) for value in get_args(part)]
    return None


def _meaning(kind: Any) -> str | None:
    """What the pattern of a text means, where people are told in other words."""
    bounds = (bound for part in _parts(kind) for bound in get_args(part) if isinstance(bound, msgspec.Meta))
    return next((_PATTERNS[bound.pattern] for bound in bounds if bound.pattern in _PATTERNS), None)


def _plain(kind: Any) -> Any:
    """The type without UNSET, which no input can hold."""
    if get_origin(kind) in (Union, UnionType):
        kept = tuple(part for part in get_args(kind) if part is not msgspec.UnsetType)
        return Union[kept] if len(kept) > 1 else kept[0]  # noqa: UP007 - built at run time
    return kind


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _parts(kind: Any) -> tuple[Any, ...]:
    """What a union is made of; anything else is the one part of itself."""
    return get_args(_bare(kind)) if get_origin(_bare(kind)) in (Union, UnionType) else (kind,)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    for part in map(_bare, _parts(kind)):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def _list_in(kind: Any) -> Any:
    """The list type that a value may have, with its bounds; None where it may have none."""
    return next((part for part in _parts(kind) if get_origin(_bare(part)) in (list, tuple)), None)


def _with_bounds(list_kind: Any) -> Any:
    """A list type that keeps its bounds and lets every element pass: those are looked at one by one."""
    bounds = [part for part in get_args(list_kind)[1:] if isinstance(part, msgspec.Meta)]
    return Annotated[list[Any], *bounds] if bounds else list[Any]
