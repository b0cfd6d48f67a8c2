"""JSON as a tree that knows which of its keys are doubled: the slow, thorough reading behind the fast one."""

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any

from domain.errors import VIOLATIONS_MAX, Invalid, Violation
from domain.storable import pointer_token


def parse(raw: bytes) -> tuple[dict[str, Any], list[Violation]]:
    """A JSON object, and the keys that are given more than once in it, VIOLATIONS_MAX of them at most.

    Raises Invalid for what is not JSON at all, or no object.
    """
    doubled: list[Violation] = []
    if not raw.strip():
        raise refusal([Violation("", "is empty; send a JSON object")])
    try:
        tree = json.loads(raw.decode("utf-8"), object_pairs_hook=lambda pairs: _object(pairs, doubled))
    except UnicodeDecodeError as error:
        raise refusal([Violation("", "is not UTF-8")]) from error
    except RecursionError as error:
        raise refusal([Violation("", "is nested too deeply")]) from error
    except ValueError as error:
        raise refusal([Violation("", f"is not JSON: {_where(error)}")]) from error
    if not isinstance(tree, dict):
        raise refusal([Violation("", "must be a JSON object")])
    return tree, doubled


def refusal(violations: Iterable[Violation], *, most: int = VIOLATIONS_MAX) -> Invalid:
    """The error that shows these violations, one for each pointer, as the first says what matters.

    No more than `most` are asked for. Where there is none, what was refused is said to have the wrong form.
    """
    by_pointer: dict[str, Violation] = {}
    for violation in islice(violations, most):
        by_pointer.setdefault(violation.pointer, violation)
    shown = list(by_pointer.values()) or [Violation("", "does not have the expected form")]
    first = shown[0]
    more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
    return Invalid(f"{first.pointer or 'The body'} {first.message}{more}.", violations=shown)


def _object(pairs: list[tuple[str, Any]], doubled: list[Violation]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen and len(doubled) < VIOLATIONS_MAX:
                doubled.append(Violation(f"/{pointer_token(name)}", "is given more than once"))
            seen.add(name)
    return values


def _where(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "a number has too many digits"
