"""The values that every store can hold. Text and numbers outside these bounds are rejected, never altered."""

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
    """The violations of a tree of JSON values: each value that some store cannot hold, with its JSON pointer.

    The search is lazy: it stops when the caller takes no more violations.
    """
    if len(path) > DEPTH_MAX:
        yield Violation(_pointer(path), f"is nested deeper than {DEPTH_MAX} levels")
    elif isinstance(value, str):
        yield from _unstorable(value, _pointer(path))
    elif isinstance(value, (int, float)):
        yield from _number_violations(value, _pointer(path))
    elif isinstance(value, list):
        yield from _violations_within(enumerate(value), path)
    elif isinstance(value, dict):
        for key in value:
            if not _is_sound(key):
                yield from _unstorable(key, _pointer(path))
        yield from _violations_within(value.items(), path)


def pointer_token(key: str) -> str:
    """One key as a token of a JSON pointer (RFC 6901 escapes). A key longer than TOKEN_LENGTH_MAX, which is never one
    of ours, is cut: it would occur in the pointer of every violation below it.
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
    """A fast check that a value has no violation; False means that it must be searched. It ignores the depth."""
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


def _unstorable(text: str, pointer: str) -> Iterator[Violation]:
    if "\x00" in text:
        yield Violation(pointer, "contains the NUL character")
    if not text.isascii() and _SURROGATE.search(text):
        yield Violation(pointer, "contains half of a surrogate pair")


def require_text(text: str, pointer: str, *, shortest: int = 0, longest: int) -> str:
    """The text. Raises RuleBroken with the pointer if its length does not fit or some store cannot hold it."""
    if violations := list(text_violations(text, pointer, shortest=shortest, longest=longest)):
        raise RuleBroken(f"The text at {pointer} cannot be stored.", violations=violations)
    return text


def text_violations(text: str, pointer: str, *, shortest: int = 0, longest: int) -> Iterator[Violation]:
    """The violations of a text: characters that some store cannot hold, and a length that does not fit. White space
    alone does not reach a `shortest` length.
    """
    yield from _unstorable(text, pointer)
    if not shortest <= len(text.strip() if shortest else text) or len(text) > longest:
        yield Violation(pointer, f"must have {shortest} to {longest} characters")
