"""Builds use cases, and whatever is made of use cases, from the parts that their attributes name."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
NONE = type(None)


class MissingPart(Exception):
    """Something cannot be built, because a field names a part that does not exist or does not fit."""


class AbsentPart(MissingPart):
    """A part exists by name, and this installation is set up without it."""


class Builder:
    """Builds each class once. An annotated attribute gets the part of its name; without one, its type is built in turn.

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
        """The one instance of a class, which takes its attributes as keywords. Raises MissingPart, naming the class and
        the attribute.
        """
        if kind not in self._built:
            attributes = {
                name: hint for name, hint in get_type_hints(kind).items() if get_origin(hint) is not ClassVar
            }
            values = {name: self._value(kind, name, hint) for name, hint in attributes.items()}
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
