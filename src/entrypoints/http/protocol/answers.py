"""Answers: entities are converted to views, and views to bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from entrypoints.http.protocol.request import RawHeaders

if TYPE_CHECKING:  # commands show views without the framework, which takes a tenth of a second to load
    from litestar.types import Receive, Scope, Send

V = TypeVar("V", bound=msgspec.Struct)

JSON = b"application/json"
NO_STORE: RawHeaders = ((b"cache-control", b"no-store"),)
_ENCODER = msgspec.json.Encoder()
_WITH_FRACTION = len('"2026-01-31T12:00:00.123456Z"')


class Tagged(Protocol):
    """The result of an operation with an entity tag: an entity, or its details for one caller."""

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Volatile:
    """An entity whose view depends on more than its version, so it is never answered with 304."""

    entity: Tagged


class Answer:
    """A finished answer: status, headers and body. An ASGI application, so the framework sends it unchanged."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, body: bytes = b"", *, status: int = 200, headers: RawHeaders = (), media_type: bytes = JSON
    ) -> None:
        self.status = status
        self.body = body
        described = ((b"content-type", media_type), (b"content-length", b"%d" % len(body)))
        self.headers = [*(described if status not in (204, 304) else ()), *headers]

    async def __call__(self, _scope: "Scope", _receive: "Receive", send: "Send") -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with three digits of milliseconds and `Z`."""
    # msgspec takes half the time of `isoformat`; it writes quotes and either six digits or none.
    text = _ENCODER.encode(instant.astimezone(UTC)).decode("ascii")
    return f"{text[1:24]}Z" if len(text) == _WITH_FRACTION else f"{text[1:20]}.000Z"


def display_text(number: int) -> str:
    """The display number of a task, as in `#17`."""
    return f"#{number}"


def encoded(view: object) -> bytes:
    """The view as JSON."""
    return _ENCODER.encode(view)


def made_view(source: object, view: type[V], **replaced: object) -> V:
    """A view with the source's attributes of the same names, instants as text, and what they contain in turn as the
    views that the fields name; `replaced` has all others.
    """
    hints = _hints_of(view)
    given = {
        name: _shown(getattr(source, name), hints[name])
        for name in view.__struct_fields__
        if name not in replaced
    }
    return view(**given, **replaced)


@lru_cache(maxsize=256)
def _hints_of(view: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(view)


def _shown(value: object, hint: Any) -> object:
    """The value as a field of this type shows it."""
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return tuple(_shown(each, get_args(hint)[0]) for each in value)
    if is_dataclass(value):
        kinds = (kind for kind in (hint, *get_args(hint)) if isinstance(kind, type))
        return made_view(value, next(kind for kind in kinds if issubclass(kind, msgspec.Struct)))
    return value


def view_maker(entity: type[Any], view: type[V], *, without: tuple[str, ...] = ()) -> Callable[[Any], V]:
    """A function from entities to views, prepared once. The fields in `without` must be the last of the view; they keep
    their defaults.
    """
    names = view.__struct_fields__[: len(view.__struct_fields__) - len(without)]
    read = attrgetter(*names)
    hints, shown_as = get_type_hints(entity), get_type_hints(view, include_extras=True)
    found = [(place, _converter(hints[name], shown_as[name])) for place, name in enumerate(names)]
    converters = [(place, convert) for place, convert in found if convert is not None]

    def make(value: Any) -> V:
        values = list(read(value))
        for place, convert in converters:
            if values[place] is not None:
                values[place] = convert(values[place])
        return view(*values)

    return make


def _converter(hint: Any, shown_as: Any) -> Callable[[Any], object] | None:
    """The conversion of values of this type, None if they are shown as they are."""
    kinds = [hint, *get_args(hint)]
    if datetime in kinds:
        return instant_text
    if any(isinstance(kind, type) and issubclass(kind, IntEnum) for kind in kinds):
        return attrgetter("name")
    if int in kinds and str in _bare_parts(shown_as):
        return display_text
    if any(is_dataclass(kind) for kind in kinds):
        return lambda value: msgspec.convert(value, shown_as, from_attributes=True)
    return None


def _bare_parts(hint: Any) -> list[Any]:
    return [get_args(part)[0] if get_origin(part) is Annotated else part for part in (hint, *get_args(hint))]


class Views:
    """The views of all kinds of entities, as the resources register them."""

    def __init__(self, makers: Mapping[type[Any], Callable[[Any], msgspec.Struct]]) -> None:
        self._makers = makers

    def of(self, entity: object) -> msgspec.Struct:
        """The view of an entity; a view is shown as it is."""
        maker = self._makers.get(type(entity))
        if maker is not None:
            return maker(entity)
        if isinstance(entity, msgspec.Struct):
            return entity
        raise TypeError(f"no resource has registered a view of {type(entity).__name__}")

    def builtins(self, entity: object) -> dict[str, object]:
        """The view of an entity as JSON values."""
        values: dict[str, object] = msgspec.to_builtins(self.of(entity))
        return values
