"""Retrying a use case after a concurrent change that its caller did not ask about."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from application.actor import Actor
from application.ports.unit_of_work import Begin, UnitOfWork
from domain.errors import MirrorPending, VersionConflict

RETRIES_MAX = 3
"""How many more attempts follow the first one."""

P = ParamSpec("P")
R = TypeVar("R")

Exemption = str | Callable[..., bool] | None
"""Which conflicts are not retried: those of the entity of this collection that the method's third argument names (after
the use case and the actor), or those for which the predicate, called with the conflict and the arguments, is true.
"""


def retry_conflicts(
    *, unless: Exemption = None, retries_max: int = RETRIES_MAX
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Calls the method again, at most `retries_max` times, when its commit meets a VersionConflict.

    Each attempt begins its own unit of work and reads everything again, so that an error describes the present state.
    `unless` names the conflicts that are raised at once: those about the version that the caller named.
    """

    def decorate(method: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        is_exempt = _predicate(unless, inspect.signature(method))

        @wraps(method)
        async def retrying(*args: P.args, **kwargs: P.kwargs) -> R:
            for _ in range(retries_max):
                try:
                    return await method(*args, **kwargs)
                except VersionConflict as conflict:
                    if is_exempt(conflict, *args, **kwargs):
                        raise
            return await method(*args, **kwargs)

        return retrying

    return decorate


def _predicate(unless: Exemption, signature: inspect.Signature) -> Callable[..., bool]:
    def concerns_named_entity(conflict: VersionConflict, *args: Any, **kwargs: Any) -> bool:
        _, _, entity_id, *_ = signature.bind(*args, **kwargs).arguments.values()
        return conflict.concerns(str(unless), entity_id)

    if unless is None:
        return lambda *_args, **_kwargs: False
    return concerns_named_entity if isinstance(unless, str) else unless


async def with_concurrent_additions(
    change: Callable[[], Awaitable[R]],
    begin: Begin,
    actor: Actor,
    follow: Callable[[UnitOfWork], Awaitable[None]],
) -> R:
    """The result of a change to an entity and its content, after a second change set has applied the same change to the
    content that others added between reading and commit. Later additions read the changed entity themselves.

    The second change set also follows when the first one is durable and only the mirror is late (MirrorPending).
    """

    @retry_conflicts()
    async def apply_to_additions() -> None:
        # The idempotency claim belongs to the first change set: the request is about that one.
        work = begin(replace(actor, claim=None))
        await follow(work)
        await work.commit()

    try:
        changed = await change()
    except MirrorPending:
        await apply_to_additions()
        raise
    await apply_to_additions()
    return changed
