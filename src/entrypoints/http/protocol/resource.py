"""The one registration of a resource: its controllers, and how its entities are shown."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from entrypoints.http.protocol.answers import Views, view_maker
from entrypoints.http.protocol.operation import Controller, Operation, operations_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a resource registers.

    controllers: Its operations.
    collection: Where its entities are stored, None for a resource without entities of its own.
    view: How an entity is shown; audit entries show the fields of this view and no others.
    views: From types (the entity, or what one caller sees of it) to functions that make the view; a type that stands
        for itself is shown field by field.
    private: Fields that audit entries show to the user they are about, and to administrators, only.
    shown_values: Fields whose stored values audit entries show in another form.
    """

    controllers: tuple[type[Controller], ...]
    collection: str | None = None
    view: type[msgspec.Struct] | None = None
    views: Mapping[type[Any], Callable[[Any], msgspec.Struct]] = field(default_factory=dict)
    private: frozenset[str] = frozenset()
    shown_values: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)


def shown_as(
    entity: type[Any], view: type[msgspec.Struct]
) -> Mapping[type[Any], Callable[[Any], msgspec.Struct]]:
    """The `views` of an entity that is shown field by field."""
    return {entity: view_maker(entity, view)}


def views_of(resources: Iterable[Resource]) -> Views:
    """How the entities of all resources are shown."""
    return Views({kind: maker for resource in resources for kind, maker in resource.views.items()})


def collections_of(resources: Iterable[Resource]) -> frozenset[str]:
    """The collections that the resources register."""
    return frozenset(resource.collection for resource in resources if resource.collection)


def documented_operations(resources: Iterable[Resource]) -> Iterator[Operation]:
    """The operations that have a summary."""
    for resource in resources:
        for controller in resource.controllers:
            yield from (declared for declared in operations_of(controller) if declared.summary is not None)
