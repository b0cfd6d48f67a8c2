"""What a change of ownership writes into the control record of the old owner, whose record alone decides."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.ownership import refusals
from adapters.ownership.control import Gate, Ownership, Role
from adapters.ownership.source_side import SourceSide

INCARNATION = "incarnation"
"""That of the target when the move began: of another one nothing is known."""
Move = Mapping[str, Any]
"""A change of ownership as the control record keeps it; its `id` is unique."""


async def begin_move(source: SourceSide, move: Move) -> None:
    """Notes a change of ownership in the control record. Raises Conflict if another one is under way."""

    def begun(now: Ownership) -> Ownership:
        if now.move is not None or now.gate is not Gate.OPEN or now.role is not Role.OWNER:
            raise refusals.other_move(now.move)
        incarnation = 0 if now.peer is None else now.peer.incarnation
        return replace(now, move={**move, INCARNATION: incarnation})

    await source.change(begun)


async def close_for_move(source: SourceSide, move: Move) -> None:
    """Takes no writes any more, in any process, until the move is decided or undone. Nothing that this process has
    begun to write may be under way. Raises Conflict if the move is not under way (any more).
    """
    source.refusal = refusals.moving(source.store.name)

    def closed(now: Ownership) -> Ownership:
        return replace(under_way(move, now), gate=Gate.CLOSED, move={**(now.move or {}), **move})

    await source.close(closed)


async def note_barrier(source: SourceSide, move: Move, barrier: Mapping[int, int]) -> None:
    """Notes the target's lanes as far as the source has seen them, once nothing is undelivered."""
    numbers = {str(lane): number for lane, number in barrier.items()}

    def noted(now: Ownership) -> Ownership:
        return replace(_with_same_target(move, now), move={**(now.move or {}), "barrier": numbers})

    await source.change(noted)


async def decide(source: SourceSide, move: Move, successor: Ownership) -> Ownership:
    """Gives the ownership to an armed successor: from here on the move cannot be undone."""
    held = await source.change(lambda now: _with_same_target(move, now).after_decision(successor))
    source.refusal = refusals.moved(source.store.name, held.ownership)
    return held.ownership


async def undo_move(source: SourceSide, move: Move) -> Ownership:
    """Takes writes again, in this process and the others. Raises Conflict if the move was decided."""
    held = await source.change(lambda now: under_way(move, now).after_undo())
    await source.open_gate(held)
    return held.ownership


def under_way(move: Move, now: Ownership) -> Ownership:
    """The record, if this move is under way and not decided. Raises Conflict otherwise."""
    if now.role is not Role.OWNER or now.move is None or now.move["id"] != move["id"]:
        raise refusals.move_is_over()
    return now


def _with_same_target(move: Move, now: Ownership) -> Ownership:
    """`under_way`, if the target is the one with which the move began. Raises Conflict otherwise."""
    begun = under_way(move, now)
    incarnation = 0 if begun.peer is None else begun.peer.incarnation
    if begun.move is None or begun.move[INCARNATION] != incarnation:
        raise refusals.target_replaced()
    return begun
