"""Takes over the MongoDB database of another service, for the command line."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from adapters.adoption.plan import Plan, plan_of
from adapters.adoption.recognition import read_originals
from adapters.adoption.storing import Adoption
from adapters.migration.steps import note_step
from adapters.records.adoption_state import running_note
from adapters.records.originals import Originals
from application.actor import SYSTEM_ID
from application.ports.adoption import AdoptionReport
from application.ports.migration import StepTaken
from domain.errors import Conflict
from entrypoints.composition.container import Container
from entrypoints.composition.settings import Settings

OnCount = Callable[[int, int], None]
STEP = "adopt"


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


async def census(originals: Originals, on_count: OnCount) -> AdoptionReport:
    """What an adoption would do. Changes nothing. Raises Conflict and StoreUnavailable."""
    documents, others = await read_originals(originals, on_count)
    return _report(originals.database, plan_of(documents, at=_now(), others=others), written=None)


async def make_room(settings: Settings, originals: Originals) -> None:
    """Gives Tandem a place of its own in a database that it shares with the other service.

    Raises Conflict for a database that another installation has adopted.
    """
    stores = settings.stores
    if "mongo" in stores.named and stores.database == originals.database:
        await originals.mark(running_note(originals.database, _now()))
    elif await originals.is_marked():
        raise Conflict(
            f"Another installation of Tandem has adopted the database {originals.database}. Start that one, with"
            f" STORE=mongo and DB_NAME={originals.database}."
        )


async def adopt(container: Container, originals: Originals, on_count: OnCount) -> AdoptionReport:
    """Takes everything over, checks that it can be read, and completes the adoption. The container is open.

    Raises Conflict where records cannot be read as planned, and StoreUnavailable; then it can be run again.
    """
    stack = container.stack()
    stack.ownership.require_open()
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
    set_aside = await adoption.keep_aside(plan, begun)
    await adoption.complete(plan, begun)
    if not begun.is_done:
        detail = f"{written} records were adopted from the database {originals.database}."
        step = StepTaken(step=STEP, at=_now(), by=SYSTEM_ID, detail=detail)
        await note_step(container.store(), step)
    return replace(_report(originals.database, plan, written=written), set_aside=set_aside)


async def _plan(originals: Originals, at: datetime) -> Plan:
    documents, others = await read_originals(originals, lambda _done, _total: None)
    return plan_of(documents, at=at, others=others)


def _report(database: str, plan: Plan, *, written: int | None) -> AdoptionReport:
    return AdoptionReport(
        database=database,
        documents=plan.documents,
        records=Counter(one.collection for one in plan.records),
        findings=plan.findings,
        set_aside=plan.set_aside,
        has_administrator=plan.has_administrator,
        written=written,
    )


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1_000 * 1_000)
