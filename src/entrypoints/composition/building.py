"""Builds use cases, and objects that consist of use cases, from the parts that their attributes name."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
NONE = type(None)


class MissingPart(Exception):
    """A class cannot be built, because an attribute names a part that does not exist or does not fit."""


class AbsentPart(MissingPart):
    """The part exists by name, and this installation is configured without it."""


class Builder:
    """Builds each class once. An annotated attribute gets the part of its name; without one, its type is built in turn.

    Parts are callables, so that unused parts are never made. Instances are shared, so they must hold no state of a
    request.
    """

    def __init__(self, parts: Mapping[str, Callable[[], object]]) -> None:
        self._parts = parts
        self._built: dict[type[Any], object] = {}

    def with_parts(self, **more: object) -> "Builder":
        """A builder with these additional parts."""
        return Builder({**self._parts, **{name: partial(more.get, name) for name in more}})

    def build(self, kind: type[T]) -> T:
        """The instance of a class that takes its attributes as keywords. Raises MissingPart, which names the class and
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
                raise AbsentPart(f"{kind.__name__}.{name}: this installation is configured without this part")
            return part
        dependency = next((each for each in types if isinstance(each, type) and is_dataclass(each)), None)
        if dependency is None:
            raise MissingPart(f"{kind.__name__}.{name}: there is no part of this name")
        try:
            return self.build(dependency)
        except AbsentPart:
            if NONE in types:
                return None
            raise
