"""Finds the installation that settings name, for whatever must not begin one: nothing is created or migrated."""

from collections.abc import Mapping
from dataclasses import replace

from adapters.ownership import control
from adapters.ownership.control import Ownership
from adapters.system.clock import SystemClock
from domain.errors import StoreUnavailable
from entrypoints.composition.failures import UnmigratedStore
from entrypoints.composition.inspection import Problem, require_begun
from entrypoints.composition.schema import require_current
from entrypoints.composition.settings import Settings, StoreKind
from entrypoints.composition.store_stack import StoreStack


async def require_readable(stack: StoreStack, problems: Mapping[str, Problem]) -> None:
    """Raises the problem of the source that `inspect` has found, and UnmigratedStore for an old schema."""
    if (problem := problems.get(stack.source.name)) is not None:
        raise problem
    try:
        await require_current(stack.direction.raw_source)
    except UnmigratedStore as unmigrated:
        # A migration would be refused, too, so its cause comes first.
        raise stack.objections.get(stack.source.name, unmigrated) from None


async def existing(settings: Settings, *, takes_new_target: bool = False) -> Settings:
    """The settings with which the installation can be opened as it is: without a migration, and without a target that
    does not belong to it yet. `takes_new_target`: its target may be absent, and is created then.

    Raises StoreRefused, above all NothingStored, and UnmigratedStore, where opening would begin or migrate one; and
    StoreUnavailable where that cannot be known.
    """
    unmigrated = replace(settings, stores=replace(settings.stores, auto_migrate=False))
    # A store that was only opened to be read cannot be opened again.
    stack = StoreStack(settings=unmigrated, clock=SystemClock())
    try:
        problems = await stack.inspect()
        if isinstance(problems.get(stack.source.name), StoreUnavailable) and not stack.absent:
            # It may answer in a moment, or whoever opens it starts it; `StoreStack.open` looks at it then.
            return unmigrated
        await require_readable(stack, problems)
        source = stack.direction.raw_source
        owner = require_begun(await control.read(source), source=source.name, target=None)
    finally:
        await stack.close()
    if owner.mirror_to is None:
        return _alone(unmigrated, owner)
    for name in () if takes_new_target else stack.absent:
        raise problems[name]
    return unmigrated


async def require_stored(settings: Settings) -> None:
    """Raises StoreRefused, above all NothingStored, where opening a store would create it, whatever its schema."""
    stack = StoreStack(settings=settings, clock=SystemClock())
    try:
        problems = await stack.inspect()
        for name in stack.absent:
            raise problems[name]
    finally:
        await stack.close()


def _alone(settings: Settings, owner: Ownership) -> Settings:
    """The owner without a mirror, whatever target the settings name for the next start of the service."""
    stores = replace(settings.stores, kind=StoreKind(owner.store), source=owner.store, target=None)
    return replace(settings, stores=stores)
