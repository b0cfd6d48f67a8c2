"""Repeating a use case whose commit was crossed by a change that its caller did not ask about."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from application.actor import Actor
from application.ports.unit_of_work import Begin, UnitOfWork
from domain.errors import MirrorPending, VersionConflict

RETRIES_MAX = 3

R = TypeVar("R")


async def repeated(attempt: Callable[[], Awaitable[R]], *, where: Callable[[VersionConflict], bool]) -> R:
    """The result of the first attempt that meets no such conflict; the last attempt's conflict after RETRIES_MAX more.

    Each attempt begins a unit of work of its own and reads everything again, so that a refusal is about the present.
    """
    for _ in range(RETRIES_MAX):
        try:
            return await attempt()
        except VersionConflict as conflict:
            if not where(conflict):
                raise
    return await attempt()


async def with_latecomers(
    change: Callable[[], Awaitable[R]],
    begin: Begin,
    actor: Actor,
    take_along: Callable[[UnitOfWork], Awaitable[None]],
) -> R:
    """The result of a change that takes others along, once those that joined between its reading and its commit have
    followed in a change set of their own. From its commit on nothing joins that does not know of it.

    They follow also where the change is durable and only the mirror late.
    """

    async def follow() -> None:
        # The claim answers for the first change set, which is the one the request is about.
        work = begin(replace(actor, claim=None))
        await take_along(work)
        await work.commit()

    try:
        changed = await change()
    except MirrorPending:
        await repeated(follow, where=lambda _: True)
        raise
    await repeated(follow, where=lambda _: True)
    return changed
