from typing import Any

import pytest

from application.actor import Actor
from entrypoints.http.protocol.operation import Controller, operation, operations_of
from entrypoints.http.protocol.schemas import Body, EntityView, TrashQuery


class ThingBody(Body, rename="camel"):
    """A new thing."""


class GetThing:
    """A use case."""


class ThingController(Controller, path="/v1/things", view=EntityView, stored=False, also=(403,)):
    """Things."""

    get: GetThing

    @operation("PATCH", "/{id}", summary="Change a thing", view=EntityView, also=(409,))
    async def change(self, actor: Actor, id: str, body: ThingBody | None, expected: int | None) -> None:
        """Takes all that a request may bring."""

    @operation("GET", "/trash", query=TrashQuery)
    async def trash(self, actor: Actor, page: object) -> None:
        """Takes a page and not the query that asks for it."""


def test_a_declaration_follows_from_what_the_handler_takes_and_what_its_controller_says() -> None:
    change, trash = operations_of(ThingController)

    assert (change.method, change.path, change.body) == ("PATCH", "/v1/things/{id}", ThingBody)
    assert (change.is_guarded, change.is_tagged, change.has_optional_body) == (True, True, True)
    assert (change.is_stored, set(change.also)) == (False, {403, 409})
    assert (trash.query, trash.is_guarded, trash.is_tagged, trash.summary) == (TrashQuery, False, False, None)


async def handler(self: Any, actor: Actor, colour: str) -> None:
    """Takes what no request has."""


async def stranger(self: Any) -> None:
    """Takes no actor."""


async def lonely(self: Any, actor: Actor, expected: int | None) -> None:
    """Is guarded, and its controller reads nothing."""


async def confused(self: Any, actor: Actor) -> None:
    """Is public and takes the actor."""


@pytest.mark.parametrize(
    ("method", "facts", "message"),
    [
        (handler, {}, r"ThingController\.handler has unknown parameters: colour"),
        (stranger, {}, r"ThingController\.stranger must either be public or take the actor"),
        (lonely, {}, r"ThingController\.lonely needs a use case `get`"),
        (confused, {"public": True}, r"ThingController\.confused must either be public or take the actor"),
    ],
)
def test_a_handler_that_contradicts_its_declaration_stops_the_start(
    method: Any, facts: dict[str, Any], message: str
) -> None:
    kind = type("ThingController", (Controller,), {method.__name__: operation("GET", **facts)(method)})

    with pytest.raises(TypeError, match=message):
        list(operations_of(kind))


def test_a_fact_that_no_operation_has_is_refused() -> None:
    with pytest.raises(TypeError, match="guardd"):
        operation("GET", guardd=True)(stranger)
