"""Takes over the MongoDB database of another service, for the command line."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from adapters.adoption.plan import Plan, plan_of
from adapters.adoption.quarantine import require_exceptions
from adapters.adoption.recognition import read_originals
from adapters.adoption.storing import Adoption, adopted_another, holds_records, not_empty
from adapters.migration.steps import note_step
from adapters.records.adoption_state import State, adopted_in, running_note
from adapters.records.originals import Originals
from adapters.records.record_store import NothingStored, RecordStore, SchemaMissing
from application.actor import SYSTEM_ID
from application.ports.adoption import AdoptionReport, SoFar
from application.ports.migration import StepTaken
from domain.errors import Conflict, StoreUnavailable
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.settings import Settings, StoreKind

OnCount = Callable[[int, int], None]
STEP = "adopt"
MONGO = StoreKind.MONGO.value
_SO_FAR = {
    State.RUNNING: SoFar.INTERRUPTED,
    State.DONE: SoFar.COMPLETE,
    State.GIVEN_UP: SoFar.NOT_BEGUN,
}


@asynccontextmanager
async def originals_in(settings: Settings, database: str) -> AsyncIterator[Originals]:
    """The database of the other service, on the server of MONGODB_URI."""
    from adapters.mongo.original_documents import OriginalDocuments  # noqa: PLC0415 - its driver is slow to load

    documents = OriginalDocuments(settings.stores.mongodb_uri or "", database)
    try:
        yield documents
    finally:
        await documents.close()


def for_adoption(settings: Settings) -> Settings:
    """The settings with which the store that takes the records over is opened: whoever adopts also creates it."""
    return replace(settings, stores=replace(settings.stores, auto_migrate=True))


async def census(settings: Settings, originals: Originals, on_count: OnCount) -> AdoptionReport:
    """What an adoption would do. Changes nothing. Raises StoreUnavailable, and Conflict for a database that cannot be
    adopted.
    """
    so_far = await _so_far(settings, originals)
    await _require_not_elsewhere(settings, originals, so_far=so_far)
    documents, others = await read_originals(originals, on_count)
    plan = plan_of(documents, at=_now(), others=others)
    return _report(originals.database, plan, written=None, so_far=so_far)


def require_adoptable(report: AdoptionReport) -> None:
    """Raises Conflict where the census shows that an adoption would fail."""
    match report.so_far:
        case SoFar.NOT_EMPTY:
            raise not_empty()
        case SoFar.OTHER_DATABASE:
            raise adopted_another(report.database)
    require_exceptions(report.set_aside)


async def make_room(settings: Settings, originals: Originals) -> None:
    """Gives Tandem a place of its own in a database that it shares with the other service."""
    if is_shared(settings, originals):
        await originals.mark(running_note(originals.database, _now()))


def is_shared(settings: Settings, originals: Originals) -> bool:
    """Whether Tandem keeps records in the database of the other service."""
    return MONGO in settings.stores.named and settings.stores.database == originals.database


async def _so_far(settings: Settings, originals: Originals) -> SoFar:
    """What the source says of the adoption; it is neither created nor claimed."""
    stack = build_container(settings).stack()
    try:
        problem = (await stack.inspect()).get(stack.source.name)
        if problem is None:
            return await _so_far_in(stack.source, originals)
    except StoreUnavailable:
        return SoFar.UNKNOWN
    finally:
        await stack.close()
    if isinstance(problem, NothingStored):
        return SoFar.NOT_BEGUN
    if settings.stores.source != MONGO or not is_shared(settings, originals):
        return SoFar.UNKNOWN
    # A database of another service is not opened before its adoption.
    state = await originals.marked_state()
    return SoFar.NOT_BEGUN if state is None else _SO_FAR[state]


async def _so_far_in(source: RecordStore, originals: Originals) -> SoFar:
    """What an open store says of the adoption. Raises StoreUnavailable."""
    try:
        held = await adopted_in(source)
        if held is None:
            return SoFar.NOT_EMPTY if await holds_records(source) else SoFar.NOT_BEGUN
    except SchemaMissing:
        return SoFar.NOT_BEGUN
    return _SO_FAR[held.state] if held.database == originals.database else SoFar.OTHER_DATABASE


async def _require_not_elsewhere(settings: Settings, originals: Originals, *, so_far: SoFar) -> None:
    """Raises Conflict for a database that another installation adopts or keeps its records in, unless this one has
    adopted it, too.
    """
    if so_far is not SoFar.NOT_BEGUN or is_shared(settings, originals):
        return
    name, state = originals.database, await originals.marked_state()
    if state is State.RUNNING:
        raise Conflict(
            f"The adoption of the database {name} into itself has begun and is not complete. To complete it, set"
            f" STORE=mongo and DB_NAME={name}, and type: tandem adopt. Or, to adopt it into another store, drop those"
            f" collections of {name} whose names begin with {originals.own_prefix}, which hold copies, and adopt again."
        )
    if await originals.is_marked():
        holds = "has adopted" if state is State.DONE else "keeps its records in"
        raise Conflict(
            f"Another installation of Tandem {holds} the database {name}. Start that one, with STORE=mongo and"
            f" DB_NAME={name}."
        )


async def adopt(container: Container, originals: Originals, on_count: OnCount) -> AdoptionReport:
    """Takes everything over, checks that it can be read, and completes the adoption. The container is open.

    Raises Conflict where another installation has adopted the database, or where records cannot be read as planned, and
    StoreUnavailable; then it can be run again.
    """
    stack = container.stack()
    stack.ownership.require_open()
    so_far = await _so_far_in(stack.source, originals)
    await _require_not_elsewhere(container.settings(), originals, so_far=so_far)
    adoption = Adoption(container.store(), database=originals.database)
    begun = await adoption.begin(_now())
    plan = await _plan(originals, begun.at)
    written = await adoption.store(plan, begun, on_count)
    if not begun.is_done:
        # Whatever the other service has changed meanwhile would be missed.
        plan = await _plan(originals, begun.at)
    if differences := await adoption.differences(plan, begun):
        raise Conflict(
            f"Not everything can be read as it was: {'; '.join(differences)}. Stop the other service, and adopt again:"
            " tandem adopt"
        )
    set_aside = await adoption.keep_quarantine(plan, begun)
    await adoption.complete(plan, begun)
    if is_shared(container.settings(), originals):
        # Also if it is only the target: it was marked, too.
        await originals.complete_mark()
    if not begun.is_done:
        detail = f"{written} records were adopted from the database {originals.database}."
        step = StepTaken(step=STEP, at=_now(), by=SYSTEM_ID, detail=detail)
        await note_step(container.store(), step)
    report = _report(originals.database, plan, written=written, so_far=so_far)
    return replace(report, set_aside=set_aside)


async def _plan(originals: Originals, at: datetime) -> Plan:
    documents, others = await read_originals(originals, lambda _done, _total: None)
    return plan_of(documents, at=at, others=others)


def _report(database: str, plan: Plan, *, written: int | None, so_far: SoFar) -> AdoptionReport:
    return AdoptionReport(
        database=database,
        documents=plan.documents,
        records=Counter(one.collection for one in plan.records),
        findings=plan.findings,
        set_aside=plan.set_aside,
        has_administrator=plan.has_administrator,
        written=written,
        so_far=so_far,
    )


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1_000 * 1_000)
