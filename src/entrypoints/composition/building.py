"""Builds use cases, and whatever is made of use cases, from the parts that their fields name."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeVar, cast, get_args, get_type_hints

T = TypeVar("T")
NONE = type(None)


class MissingPart(Exception):
    """Something cannot be built, because a field names a part that does not exist or does not fit."""


class AbsentPart(MissingPart):
    """A part exists by name, and this installation is set up without it."""


class Builder:
    """Builds each dataclass once. A field gets the part of its name; without one, its type is built in turn.

    Parts are callables, so that a part that nothing asks for is never made. What is built must hold no state of a
    request: everybody gets the same instance.
    """

    def __init__(self, parts: Mapping[str, Callable[[], object]]) -> None:
        self._parts = parts
        self._built: dict[type[Any], object] = {}

    def with_parts(self, **more: object) -> "Builder":
        """A builder that knows these parts besides."""
        return Builder({**self._parts, **{name: partial(_given, part) for name, part in more.items()}})

    def build(self, kind: type[T]) -> T:
        """The one instance of a dataclass. Raises MissingPart, naming the class and the field."""
        if kind not in self._built:
            hints = get_type_hints(kind)
            values = {
                each.name: self._value(kind, each.name, hints[each.name])
                for each in fields(cast("Any", kind))
            }
            self._built[kind] = kind(**values)
        return cast("T", self._built[kind])

    def _value(self, kind: type[Any], name: str, hint: Any) -> object:
        types = get_args(hint) or (hint,)
        if name in self._parts:
            part = self._parts[name]()
            if part is None and NONE not in types:
                raise AbsentPart(f"{kind.__name__}.{name}: this installation is set up without this part")
            return part
        wanted = next((each for each in types if isinstance(each, type) and is_dataclass(each)), None)
        if wanted is None:
            raise MissingPart(f"{kind.__name__}.{name}: there is no part of this name")
        try:
            return self.build(wanted)
        except AbsentPart:
            if NONE in types:
                return None
            raise


def _given(part: object) -> object:
    return part
