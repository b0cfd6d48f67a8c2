"""The checks of `tandem doctor` on stores, schema, mirror and cache: through the running service, else read-only."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from loguru import logger

from application.operations import OperateSync
from application.ports.health import CLOCK_SECONDS_MAX, StoreFacts
from application.ports.schema import FlawEffect, OldRecords, SchemaFlaw, SchemaState, summary_of
from domain.errors import StoreUnavailable, TandemError
from entrypoints.cli.check_result import CheckResult
from entrypoints.cli.configuration import location_of
from entrypoints.cli.mirror_client import LocalMirrorClient, MirrorClient, RemoteMirrorClient
from entrypoints.cli.running_service import ServiceClient
from entrypoints.cli.session import operator
from entrypoints.composition.addresses import EMBEDDED
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.direction import Direction
from entrypoints.composition.failures import NothingStored, StoreRefused
from entrypoints.composition.settings import Settings, StoreSettings
from entrypoints.composition.stack_reports import facts_of, flaws_in, found_differences
from entrypoints.composition.store_stack import StoreStack
from entrypoints.http.operator import SchemaView

PENDING_AGE_MS_MAX = 60_000
MIGRATE = "Type: tandem migrate up"
AGAIN = "Then type: tandem doctor"
REPAIR = "Type: tandem move repair"
RESTORE = "Lists leave them out. Restore each from a copy, or correct its fields in the store."
DELIVER = "To deliver them, type: tandem serve"
_SUBJECTS = {"db": "source", "target": "target", "mirror": "mirror", "cache": "cache"}
_REMEDIES = {
    "mongo": "Start the server (docker compose up -d mongo) or correct MONGODB_URI.",
    "postgres": "Start the server (docker compose up -d postgres) or correct POSTGRES_URL or POSTGRES_HOST.",
}


async def checks_of_service(client: ServiceClient) -> AsyncIterator[CheckResult]:
    """What the running service reports of its components and its mirror."""
    service = client.service
    yield CheckResult.passed(
        "service", f"It runs at {service.url} (process {service.pid}) and reports on its stores."
    )
    # Meanwhile, because each of them may take two seconds where a store does not answer.
    schema = asyncio.ensure_future(client.fetch("GET", "/operator/schema"))
    try:
        async for result in _of_health(client, schema):
            yield result
    finally:
        await _given_up(schema)


async def _of_health(client: ServiceClient, schema: asyncio.Future[bytes]) -> AsyncIterator[CheckResult]:
    service, are_fine = client.service, True
    try:
        health: Mapping[str, Any] = await client.health()
    except TandemError as error:
        yield CheckResult.failed(
            "service",
            error.message,
            f"Read its log. To end it, type: kill {service.pid}. To start it again, type: tandem serve",
            is_unreachable=True,
        )
        return
    components = health.get("components", {})
    try:
        async for result in checks_of_components(components, RemoteMirrorClient(client)):
            are_fine = are_fine and result.is_fine
            yield result
    except TandemError as error:
        if "mirror" in components:
            yield _unread("mirror", error)
        elif are_fine:
            # A single store, whose own trouble would have been shown.
            yield _unread("source", error)
    try:
        reported = msgspec.json.decode(await schema, type=SchemaView)
        for result in _of_report(reported, are_fine=are_fine):
            yield result
    except TandemError as error:
        yield _unread("schema", error)


def _of_report(reported: SchemaView, *, are_fine: bool) -> Iterator[CheckResult]:
    """What the service says of schema and records; `are_fine`: no component fails."""
    for name, flaws in reported.flaws.items():
        if flaws:
            yield _flawed(name, flaws)
    # Where a component fails, that is why.
    for reason in reported.unreadable.values() if are_fine else ():
        yield CheckResult.failed("schema", f"It cannot be read. {reason}", AGAIN, is_unreachable=True)
    if reported.differences is not None:
        yield CheckResult.failed("mirror", reported.differences, REPAIR)
    yield from _damaged(reported.records)


def _unread(subject: str, error: TandemError) -> CheckResult:
    return CheckResult.failed(
        subject, f"Its state cannot be read. {error.message}", AGAIN, is_unreachable=True
    )


async def _given_up(asked: asyncio.Future[bytes]) -> None:
    """Ends a question whose answer nobody waits for any more, also an error."""
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)


async def checks_of_components(
    components: Mapping[str, Mapping[str, Any]], client: MirrorClient
) -> AsyncIterator[CheckResult]:
    """The components of a process as its health shows them, and its mirror in more detail. Raises TandemError."""
    results = {name: _component(name, part) for name, part in components.items()}
    seen_by_health = results.pop("mirror", None)
    for result in results.values():
        yield result
    found = [result async for result in _mirror(client)]
    if seen_by_health is not None and not seen_by_health.is_fine and all(one.is_fine for one in found):
        found = [seen_by_health]
    for result in found:
        yield result


def _component(name: str, part: Mapping[str, Any]) -> CheckResult:
    subject, detail = _SUBJECTS.get(name, name), part.get("detail") or ""
    if part["status"] == "UP":
        return CheckResult.passed(subject, "It was asked and works.")
    is_unreachable = name == "db" and part["status"] == "DOWN"
    return CheckResult.failed(
        subject, f"{part['status']}. {detail}".strip(), AGAIN, is_unreachable=is_unreachable
    )


async def checks_of_stores(settings: Settings) -> AsyncIterator[CheckResult]:
    """The checks without a service: every store is opened to be read, and nothing is created, started or claimed."""
    logger.remove()  # the results say what was found
    container = build_container(settings)
    stack = container.stack()
    try:
        unreadable = await stack.inspect()
        stores = _as_owned(settings.stores, stack.direction)
        problems = {**unreadable, **stack.objections}
        for name in stores.named:
            if name in problems:
                yield _problem(stores, name, problems[name])
        if settings.cache_url is not None:
            yield _cache(await stack.cache_trouble())
        if stores.source not in unreadable:
            async for result in _readable(container, stores, unreadable):
                yield result
    finally:
        await stack.close()


def _as_owned(stores: StoreSettings, direction: Direction) -> StoreSettings:
    """The settings with the source and the target that the control records name."""
    target = direction.raw_target
    return replace(stores, source=direction.raw_source.name, target=None if target is None else target.name)


def _problem(stores: StoreSettings, name: str, problem: StoreUnavailable | StoreRefused) -> CheckResult:
    is_source = name == stores.source
    if isinstance(problem, NothingStored):
        return CheckResult.failed(name, str(problem), AGAIN)
    compared = "" if is_source else f", so it was not compared with {stores.source}"
    message = f"{location_of(stores, name)} cannot be used{compared}. {problem}"
    # The reason of an embedded store says itself what to type.
    is_embedded = name == "monty" or (name == "postgres" and stores.postgres_url == EMBEDDED)
    says_what_to_do = is_embedded or isinstance(problem, StoreRefused) or problem.names_remedy
    remedy = AGAIN if says_what_to_do else f"{_REMEDIES[name]} {AGAIN}"
    return CheckResult.failed(name, message, remedy, is_unreachable=is_source)


def _cache(trouble: str | None) -> CheckResult:
    if trouble is None:
        return CheckResult.passed("cache", "It answers.")
    return CheckResult.failed("cache", f"Reads go to the store. {trouble}", AGAIN)


async def _readable(
    container: Container, stores: StoreSettings, unreadable: Mapping[str, object]
) -> AsyncIterator[CheckResult]:
    stack = container.stack()
    before = datetime.now(UTC)
    facts = await facts_of(stack)
    after = datetime.now(UTC)
    for name in stores.named:
        if name not in unreadable and name not in stack.objections:
            answers = _answers(stores, name, facts.get(name))
            is_alone = stores.target in unreadable
            compared = f" It was not compared with {stores.target}." if is_alone else ""
            yield CheckResult.passed(name, f"{answers}{compared}")
    for name, store_facts in facts.items():
        if store_facts.clock is not None:
            yield _clock(name, store_facts.seconds_apart(before, after))
    are_current = True
    for state in await stack.schema(without=unreadable).states():
        if state.store in stack.objections:
            # A migration would be refused, too, so it is no remedy.
            are_current = are_current and (state.is_current or state.store != stores.source)
            continue
        are_current = are_current and state.is_current
        yield await _schema(stack, state)
    if are_current:
        async for result in _contents(container, unreadable):
            yield result


async def _contents(container: Container, unreadable: Mapping[str, object]) -> AsyncIterator[CheckResult]:
    """The records of stores with a current schema, and their mirror."""
    stack = container.stack()
    for result in _damaged(await stack.schema(without={*unreadable, *stack.objections}).waiting()):
        yield result
    client = LocalMirrorClient(container.builder().build(OperateSync), operator(container))
    async for result in _mirror(client):
        yield result
    if (differences := await found_differences(stack)) is not None:
        yield CheckResult.failed("mirror", differences, REPAIR)


async def _schema(stack: StoreStack, state: SchemaState) -> CheckResult:
    current = "has no schema yet" if state.revision is None else f"is at schema {state.revision}"
    message = f"{state.store} {current}; this program needs {state.expected}."
    flaws = await flaws_in(stack, state.store)
    if flaws:
        return _flawed(state.store, flaws)
    return (
        CheckResult.passed("schema", message)
        if state.is_current
        else CheckResult.failed("schema", message, MIGRATE)
    )


def _flawed(store: str, flaws: Sequence[SchemaFlaw]) -> CheckResult:
    """What somebody removed from a schema: a failure, or a warning where only questions take longer."""
    grave = [flaw for flaw in flaws if flaw.effect is not FlawEffect.SLOW]
    causes, remedies = summary_of(grave or flaws)
    outcome = CheckResult.failed if grave else CheckResult.warned
    return outcome("schema", f"{store}: {causes}", "\n".join(remedies) or AGAIN)


def _damaged(records: Sequence[OldRecords]) -> Iterator[CheckResult]:
    """The records that cannot be read at all, by name."""
    for one in records:
        if one.unfit:
            named = ", ".join(one.unfit_ids)
            more = f" and {one.unfit - len(one.unfit_ids)} more" if one.unfit > len(one.unfit_ids) else ""
            message = f"{one.store}: {one.unfit} records of {one.collection} are damaged: {named}{more}."
            yield CheckResult.failed("records", message, f"{RESTORE} {AGAIN}")


async def _mirror(client: MirrorClient) -> AsyncIterator[CheckResult]:
    metrics: Mapping[str, Any] = await client.metrics()
    if metrics["target"] is None:
        return
    results = [*_obstacles(metrics)]
    totals = metrics["totals"]
    if totals["failed"] + totals["parked"]:
        found = (await client.failures(limit=1))["items"]
        reason = f" The oldest: {found[0]['lastError']}" if isinstance(found, list) and found else ""
        message = f"{totals['failed']} entries failed and {totals['parked']} are parked.{reason}"
        remedy = "For the reasons, type: tandem sync failures. Then type: tandem sync retry --all"
        results.append(CheckResult.failed("mirror", message, remedy))
    if not results:
        message = f"{totals['synced']} entries are mirrored and {totals['pending']} are pending."
        results.append(CheckResult.passed("mirror", message))
    for result in results:
        yield result


def _obstacles(metrics: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Why entries wait: the open breaker, blocked tables, a pause, or nobody who delivers."""
    totals = metrics["totals"]
    age_ms = totals["oldestPendingAgeMs"] or 0
    if metrics["breaker"]["reason"] is not None:
        message = f"Nothing is mirrored, and {totals['pending']} entries wait: {metrics['breaker']['reason']}"
        yield CheckResult.failed("mirror", message, "To follow it, type: tandem sync status")
    for blocked in metrics["blockedTables"]:
        message = f"{blocked['table']} is blocked, and {blocked['waiting']} entries wait: {blocked['cause']}"
        yield CheckResult.failed("mirror", message, "Put it right; to follow it, type: tandem sync status")
    if metrics["paused"]:
        message = f"It is paused by DUAL_WRITE_ENABLED=false; {totals['pending']} entries are pending."
        yield CheckResult.failed("mirror", message, "Set DUAL_WRITE_ENABLED=true, then type: tandem serve")
    elif age_ms > PENDING_AGE_MS_MAX:
        message = f"{totals['pending']} entries are pending, the oldest for {age_ms / 1000:.0f} s."
        yield CheckResult.failed("mirror", message, DELIVER)


def _answers(stores: StoreSettings, name: str, facts: StoreFacts | None) -> str:
    location = location_of(stores, name)
    if facts is None:
        return f"{location} answers."
    topology = "" if facts.topology is None else f", {facts.topology}"
    return f"{location} answers ({facts.product}{topology})."


def _clock(name: str, seconds_apart: float) -> CheckResult:
    """The difference between a store's clock and this machine's. It only affects times that people read."""
    message = f"Its clock differs from the clock of this machine by {seconds_apart:.1f} s."
    if seconds_apart > CLOCK_SECONDS_MAX:
        return CheckResult.failed(name, message, "On both machines, type: timedatectl set-ntp true")
    return CheckResult.passed(name, message)
