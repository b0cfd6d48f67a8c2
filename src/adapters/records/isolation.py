"""Finds the change sets that a target rejects among many: the one place where a failed batch is bisected."""

from collections.abc import Awaitable, Callable, Sequence

from loguru import logger

from adapters.records.change_set import ApplyOutcome, ChangeSet, Rejection, taken_reason
from adapters.records.record_store import REASON_LENGTH_MAX, StoreRefused
from domain.errors import AlreadyExists, RuleBroken, StoreUnavailable

_MAY_PASS_LATER = (None, "23505")
"""The SQLSTATE of a unique value that is taken; None from stores that give no SQLSTATE."""

Apply = Callable[[Sequence[ChangeSet]], Awaitable[list[ApplyOutcome]]]
Key = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]


class SomeAreSlow(Exception):
    """These change sets of a batch take long, and the others do not: so the others need not wait for them."""

    def __init__(self, slow: Sequence[ChangeSet]) -> None:
        super().__init__(f"{len(slow)} change sets take long")
        self._slow = frozenset(map(_key_of, slow))

    def parted(self, change_sets: Sequence[ChangeSet]) -> tuple[list[int], list[int]]:
        """The places of those that are quick, and of those that are slow."""
        parted: tuple[list[int], list[int]] = ([], [])
        for place, change_set in enumerate(change_sets):
            parted[_key_of(change_set) in self._slow].append(place)
        return parted


async def apply_each(apply: Apply, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
    """The outcome of each change set, as `bisected` finds it; rejected ones get a second attempt at the end.

    A unique value may be free only after a later change set of the batch has given it up. Raises StoreUnavailable
    and StoreRefused.
    """
    outcomes = await bisected(apply, change_sets)
    if None in outcomes:
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, Rejection) and outcome.sqlstate in _MAY_PASS_LATER:
                (outcomes[place],) = await bisected(apply, [change_sets[place]])
    return outcomes


async def bisected(apply: Apply, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
    """The outcome of each change set: a batch that fails is applied in halves, in its order, down to single ones.

    Slow ones, where the store knows them, are applied one by one after the others.

    Raises StoreUnavailable and StoreRefused, which are about the store. A failure of any other kind is the rejection of
    a change set that is alone.
    """
    if not change_sets:
        return []
    try:
        return await apply(change_sets)
    except (StoreUnavailable, StoreRefused):
        raise
    except SomeAreSlow as some:
        quick, slow = some.parted(change_sets)
        if quick and slow:
            return await _in_order(apply, change_sets, [quick, *([place] for place in slow)])
    except Exception as error:  # noqa: BLE001 - one change set must not stop the others, whatever error it causes in the driver
        if len(change_sets) == 1:
            return [_rejection(error, change_sets[0])]
    middle = len(change_sets) // 2
    return [*await bisected(apply, change_sets[:middle]), *await bisected(apply, change_sets[middle:])]


async def _in_order(
    apply: Apply, change_sets: Sequence[ChangeSet], parts: Sequence[Sequence[int]]
) -> list[ApplyOutcome]:
    """The outcomes of all, after the parts, each given by its places, were applied one after the other."""
    outcomes: list[ApplyOutcome] = [None] * len(change_sets)
    for places in parts:
        applied = await bisected(apply, [change_sets[place] for place in places])
        for place, outcome in zip(places, applied, strict=True):
            outcomes[place] = outcome
    return outcomes


def _key_of(change_set: ChangeSet) -> Key:
    return change_set.entry_ids, tuple(change_set.touched())


def _rejection(error: Exception, change_set: ChangeSet) -> Rejection:
    if isinstance(error, AlreadyExists) and error.fields:
        return Rejection(taken_reason(error.fields)[:REASON_LENGTH_MAX])
    if isinstance(error, AlreadyExists | RuleBroken):
        return Rejection(error.message[:REASON_LENGTH_MAX])
    logger.opt(exception=error).error("The target failed on change set {}", change_set.entry_ids[:1])
    return Rejection(f"The target failed to store it ({type(error).__name__}).")
