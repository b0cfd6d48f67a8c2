"""Opens stores only to be read, and finds why they must not be used as they are. Nothing is written."""

import asyncio
from collections.abc import Mapping

from adapters.ownership.control import Held, Ownership
from adapters.ownership.refusals import OlderSource, emptied
from adapters.ownership.source_side import SourceSide
from adapters.ownership.target_side import TargetSide
from adapters.records.adoption_state import State, adoption_state
from adapters.records.inspectable import inspect
from adapters.records.record_store import NothingStored, RecordStore, SchemaMissing, StoreRefused
from domain.errors import StoreUnavailable

INSPECT_SECONDS_MAX = 2.0
COMPARE_SECONDS_MAX = 1.0
_BEGIN = "type: tandem serve (in production first: tandem migrate up)"

Problem = StoreUnavailable | StoreRefused
"""Why a store cannot be read, or must not be used."""


async def inspected(store: RecordStore) -> Problem | None:
    """Why the store cannot be read; None once it is open."""
    opening = asyncio.ensure_future(inspect(store))
    done, _ = await asyncio.wait({opening}, timeout=INSPECT_SECONDS_MAX)
    if not done:
        opening.cancel()
        return StoreUnavailable(f"{store.name} does not answer within {INSPECT_SECONDS_MAX:.0f} s.")
    try:
        opening.result()
    except (StoreUnavailable, StoreRefused) as error:
        return error
    return None


async def judged(
    problems: Mapping[str, Problem], source: SourceSide, readable: TargetSide | None
) -> tuple[dict[str, Problem], Mapping[str, Problem]]:
    """Why stores cannot be read, in the light of the others and of what the data directory has seen; and why those
    that can be read must not be used as they are. Both by name. `readable` is the target, None if it cannot be read.
    """
    name, found = source.store.name, dict(problems)
    if name in found:
        found[name] = await _in_known_directory(await _beside_target(found[name], readable), source)
        return found, {}
    found = {target: await _beside_source(one, target, source) for target, one in found.items()}
    return found, await objections(source, readable)


async def _beside_target(problem: Problem, target: TargetSide | None) -> Problem:
    """The problem of a source beside a target that can be read: a start would not create a source that the target
    shows to be missing.
    """
    if target is None or not isinstance(problem, NothingStored):
        return problem
    try:
        async with asyncio.timeout(COMPARE_SECONDS_MAX):
            await target.look_beside_new_source()
    except StoreRefused as refused:
        return refused
    except (StoreUnavailable, TimeoutError):
        return problem
    return problem


async def _in_known_directory(problem: Problem, source: SourceSide) -> Problem:
    """The problem of a source in its data directory: a start would not create one where an installation had one."""
    if not isinstance(problem, NothingStored):
        return problem
    try:
        await asyncio.to_thread(source.settings.last_seen.require_unknown, source.store.name)
    except StoreRefused as refused:
        return refused
    return problem


async def _beside_source(problem: Problem, name: str, source: SourceSide) -> Problem:
    """The problem of the target `name` beside a source that can be read: a start would create one, and then refuse it
    where the source was mirrored before.
    """
    if not isinstance(problem, NothingStored):
        return problem
    try:
        async with asyncio.timeout(COMPARE_SECONDS_MAX):
            owner = (await source.required()).ownership
    except (StoreUnavailable, TimeoutError):
        return problem
    return problem if owner.peer is None else emptied(name)


async def require_adopted(store: RecordStore) -> None:
    """Raises StoreRefused for a store in which an adoption is not complete: people would miss records."""
    try:
        state = await adoption_state(store)
    except SchemaMissing:
        return
    if state is State.RUNNING:
        raise StoreRefused(
            "The adoption of another service's database is not complete.", remedy="Complete it: tandem adopt"
        )


def require_begun(held: Held | None, *, source: str, target: str | None) -> Ownership:
    """What the control record says. Raises NothingStored where a start would begin an installation, or its mirror."""
    if held is None:
        raise NothingStored(
            f"The {source} store belongs to no installation yet.", remedy=f"To begin one, {_BEGIN}"
        )
    if target is not None and held.ownership.mirror_to is None:
        raise NothingStored(f"{source} is not mirrored to {target} yet.", remedy=f"To begin that, {_BEGIN}")
    return held.ownership


async def objections(source: SourceSide, readable: TargetSide | None) -> Mapping[str, Problem]:
    """Why stores that can be read must not be used as they are, by name: what a start would say of them, except what
    it only learns by waiting. The source is open, and so is the target, which is None if it cannot be read.
    """
    name = source.store.name
    try:
        async with asyncio.timeout(COMPARE_SECONDS_MAX):
            await require_adopted(source.store)
            held = await source.inspect(None if readable is None else readable.ownership)
            if readable is None:
                return {}
            name = source.target_name
            await (readable.look_beside_new_source() if held is None else readable.inspect())
    except OlderSource as older:
        return {source.store.name: older}
    except (StoreUnavailable, StoreRefused) as problem:
        return {name: problem}
    except TimeoutError:
        return {name: StoreUnavailable(f"{name} does not answer within {COMPARE_SECONDS_MAX:.0f} s.")}
    return {}
