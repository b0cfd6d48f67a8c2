"""Names that occur more than once in one object of a JSON text: a decoder keeps one value and drops the others."""

import json

from domain.storable import pointer_token

_Path = tuple["_Path", object] | None
"""From a value up to the root, so that values at any depth share what is above them."""


class _Pairs(list[tuple[str, object]]):
    """The names and values of an object, the repeated ones included."""


def repeated_names(text: str, *, most: int) -> list[str]:
    """The JSON pointers of the first `most` names that repeat an earlier one of their object.

    Raises as json.loads does.
    """
    found: dict[str, None] = {}
    unseen: list[tuple[_Path, object]] = [(None, json.loads(text, object_pairs_hook=_Pairs))]
    while unseen and len(found) < most:
        path, value = unseen.pop()
        if not isinstance(value, list):
            continue
        children = value if isinstance(value, _Pairs) else list(enumerate(value))
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            for name, _ in value:
                if name in seen and len(found) < most:
                    found[_pointer((path, name))] = None
                seen.add(name)
        unseen += [((path, token), child) for token, child in reversed(children) if isinstance(child, list)]
    return list(found)


def _pointer(path: _Path) -> str:
    tokens: list[str] = []
    while path is not None:
        path, token = path
        tokens.append(f"/{pointer_token(str(token))}")
    return "".join(reversed(tokens))
