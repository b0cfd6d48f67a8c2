"""What every store can hold. Text and numbers outside these bounds are refused at the door, never altered."""

import math
from collections.abc import Iterator, Mapping, Sequence

from domain.errors import Fault, RuleBroken

INTEGER_MAX = 2**63 - 1
INTEGER_MIN = -(2**63)
DEPTH_MAX = 32


def faults_in(value: object, pointer: str = "", depth: int = 0) -> Iterator[Fault]:
    """Each place in a tree of JSON values that some store could not hold, with its JSON pointer."""
    if depth > DEPTH_MAX:
        yield Fault(pointer, f"is nested deeper than {DEPTH_MAX} levels")
    elif isinstance(value, str):
        yield from _text_faults(value, pointer)
    elif isinstance(value, int | float):
        yield from _number_faults(value, pointer)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _text_faults(str(key), pointer)
            yield from faults_in(item, f"{pointer}/{pointer_token(str(key))}", depth + 1)
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            yield from faults_in(item, f"{pointer}/{index}", depth + 1)


def pointer_token(key: str) -> str:
    """One key as a token of a JSON pointer (RFC 6901 escapes)."""
    return key.replace("~", "~0").replace("/", "~1")


def _number_faults(number: int | float, pointer: str) -> Iterator[Fault]:
    if isinstance(number, float):
        if not math.isfinite(number):
            yield Fault(pointer, "is not a finite number")
    elif not INTEGER_MIN <= number <= INTEGER_MAX:
        yield Fault(pointer, "is an integer beyond 63 bits")


def _text_faults(text: str, pointer: str) -> Iterator[Fault]:
    if "\x00" in text:
        yield Fault(pointer, "contains the NUL character")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        yield Fault(pointer, "contains half of a surrogate pair")


def require_text(text: str, pointer: str, *, shortest: int = 0, longest: int) -> str:
    """The text where its length fits and every store can hold it; raises RuleBroken with the pointer otherwise."""
    faults = list(_text_faults(text, pointer))
    if not shortest <= len(text.strip() if shortest else text) or len(text) > longest:
        faults.append(Fault(pointer, f"must have {shortest} to {longest} characters"))
    if faults:
        raise RuleBroken(f"The text at {pointer} cannot be stored.", faults=faults)
    return text
