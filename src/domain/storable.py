"""What every store can hold. Text and numbers outside these bounds are refused at the door, never altered."""

import math
import re
from collections.abc import Iterable, Iterator

from domain.errors import RuleBroken, Violation

INTEGER_MAX = 2**63 - 1
INTEGER_MIN = -(2**63)
DEPTH_MAX = 32
TOKEN_LENGTH_MAX = 100

_SURROGATE = re.compile(r"[\ud800-\udfff]")

Path = tuple[object, ...]


def violations_in(value: object, path: Path = ()) -> Iterator[Violation]:
    """Each place in a tree of JSON values that some store could not hold, with its JSON pointer.

    One quick look at each value, and nothing is written down but violations: whoever takes only some stops the search.
    """
    if len(path) > DEPTH_MAX:
        yield Violation(_pointer(path), f"is nested deeper than {DEPTH_MAX} levels")
    elif isinstance(value, str):
        yield from _text_violations(value, _pointer(path))
    elif isinstance(value, (int, float)):
        yield from _number_violations(value, _pointer(path))
    elif isinstance(value, list):
        yield from _violations_within(enumerate(value), path)
    elif isinstance(value, dict):
        for key in value:
            if not _is_sound(key):
                yield from _text_violations(key, _pointer(path))
        yield from _violations_within(value.items(), path)


def pointer_token(key: str) -> str:
    """One key as a token of a JSON pointer (RFC 6901 escapes). A key that is longer than TOKEN_LENGTH_MAX, and so none
    of ours, is cut: it would be repeated in the pointer of everything below it.
    """
    shown = key if len(key) <= TOKEN_LENGTH_MAX else f"{key[:TOKEN_LENGTH_MAX]}…"
    return shown.replace("~", "~0").replace("/", "~1")


def _violations_within(items: Iterable[tuple[object, object]], path: Path) -> Iterator[Violation]:
    is_deepest = len(path) == DEPTH_MAX
    for key, item in items:
        if is_deepest or not _is_sound(item):
            yield from violations_in(item, (*path, key))


def _pointer(path: Path) -> str:
    return "".join(f"/{pointer_token(str(token))}" for token in path)


def _is_sound(value: object) -> bool:
    """Whether there is surely nothing wrong with a value that is not too deep. Most of any tree is plain and sound."""
    if isinstance(value, str):
        return "\x00" not in value and (value.isascii() or not _SURROGATE.search(value))
    if isinstance(value, int):
        return INTEGER_MIN <= value <= INTEGER_MAX
    if isinstance(value, float):
        return math.isfinite(value)
    return not value


def _number_violations(number: int | float, pointer: str) -> Iterator[Violation]:
    if isinstance(number, float):
        if not math.isfinite(number):
            yield Violation(pointer, "is not a finite number")
    elif not INTEGER_MIN <= number <= INTEGER_MAX:
        yield Violation(pointer, "is an integer beyond 63 bits")


def _text_violations(text: str, pointer: str) -> Iterator[Violation]:
    if "\x00" in text:
        yield Violation(pointer, "contains the NUL character")
    if not text.isascii() and _SURROGATE.search(text):
        yield Violation(pointer, "contains half of a surrogate pair")


def require_text(text: str, pointer: str, *, shortest: int = 0, longest: int) -> str:
    """The text where its length fits and every store can hold it; raises RuleBroken with the pointer otherwise."""
    violations = list(_text_violations(text, pointer))
    if not shortest <= len(text.strip() if shortest else text) or len(text) > longest:
        violations.append(Violation(pointer, f"must have {shortest} to {longest} characters"))
    if violations:
        raise RuleBroken(f"The text at {pointer} cannot be stored.", violations=violations)
    return text
