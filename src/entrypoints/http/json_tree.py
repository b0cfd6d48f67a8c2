"""JSON as a tree that knows its own faults: the slow, thorough reading behind the fast one."""

import json
from itertools import islice
from typing import Any

from domain.errors import Fault, Invalid
from domain.storable import faults_in, pointer_token

FAULTS_MAX = 100


def parse(raw: bytes) -> tuple[dict[str, Any], list[Fault]]:
    """A JSON object, and what is wrong in it by pointer: doubled keys, and values that no store can hold.

    Raises Invalid for what is not JSON at all, or no object.
    """
    doubled: list[Fault] = []
    if not raw.strip():
        raise refusal([Fault("", "is empty; send a JSON object")])
    try:
        tree = json.loads(raw.decode("utf-8"), object_pairs_hook=lambda pairs: _object(pairs, doubled))
    except UnicodeDecodeError as error:
        raise refusal([Fault("", "is not UTF-8")]) from error
    except RecursionError as error:
        raise refusal([Fault("", "is nested too deeply")]) from error
    except ValueError as error:
        raise refusal([Fault("", f"is not JSON: {_where(error)}")]) from error
    if not isinstance(tree, dict):
        raise refusal([Fault("", "must be a JSON object")])
    return tree, [*doubled, *faults_in(tree)]


def refusal(faults: list[Fault]) -> Invalid:
    """The error that shows these faults: at most FAULTS_MAX, one for each pointer, as the first says what matters."""
    by_pointer: dict[str, Fault] = {}
    for fault in faults:
        by_pointer.setdefault(fault.pointer, fault)
    shown = list(islice(by_pointer.values(), FAULTS_MAX))
    first = shown[0]
    more = f" (and {len(by_pointer) - 1} more)" if len(by_pointer) > 1 else ""
    return Invalid(f"{first.pointer or 'The body'} {first.message}{more}.", faults=shown)


def merged(target: object, patch: object) -> object:
    """The target with a merge patch applied (RFC 7396): null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _object(pairs: list[tuple[str, Any]], doubled: list[Fault]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                doubled.append(Fault(f"/{pointer_token(name)}", "is given more than once"))
            seen.add(name)
    return values


def _where(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "a number has too many digits"
