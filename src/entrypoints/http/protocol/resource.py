"""The registration of a resource: its controllers, and the views of its entities."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from entrypoints.http.protocol.answers import Views, view_maker
from entrypoints.http.protocol.operation import Controller, Operation, operations_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """The registration of a resource.

    controllers: The controllers with its operations.
    collection: The collection of its entities, None for a resource without entities of its own.
    view: The view of an entity; audit entries show the fields of this view only.
    views: For each type (the entity, or its details for one caller) the function that makes the view.
    private: Fields that audit entries only show to their user and to administrators.
    shown_values: Conversions of fields whose stored values audit entries show in another form.
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
    """The views of the entities of all resources."""
    return Views({kind: maker for resource in resources for kind, maker in resource.views.items()})


def collections_of(resources: Iterable[Resource]) -> frozenset[str]:
    """The collections that the resources register."""
    return frozenset(resource.collection for resource in resources if resource.collection)


def documented_operations(resources: Iterable[Resource]) -> Iterator[Operation]:
    """The operations that have a summary."""
    for resource in resources:
        for controller in resource.controllers:
            yield from (declared for declared in operations_of(controller) if declared.summary is not None)
