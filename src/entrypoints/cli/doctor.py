"""`tandem doctor`: checks the installation, and says what to do or type where a check fails."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from application.operations import OperateSync
from application.ports.health import StoreFacts
from domain.errors import TandemError
from entrypoints.cli.check_result import CheckResult
from entrypoints.cli.configuration import location_of
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.mirror_client import LocalMirrorClient, MirrorClient, RemoteMirrorClient
from entrypoints.cli.running_service import RunningService, ServiceClient, service_holding_stores
from entrypoints.cli.session import current_settings, operator
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.failures import StoreRefused, UnmigratedStore, UnusableKey
from entrypoints.composition.settings import Settings, StoreSettings
from entrypoints.composition.variables import InvalidSettings

OPEN_SECONDS_MAX = 5.0
FREE_BYTES_MIN = 1024**3
PENDING_AGE_MS_MAX = 60_000
CLOCK_SKEW_SECONDS_MAX = 5.0
EARLIEST_CREDIBLE = datetime(2025, 1, 1, tzinfo=UTC)

_REMEDIES = {
    "monty": "Check that this user may read and write DATA_DIR.",
    "mongo": "Start the server (docker compose up -d mongo) or correct MONGODB_URI.",
    "postgres": "Start the server (docker compose up -d postgres), correct POSTGRES_URL or POSTGRES_HOST, or set "
    "POSTGRES_URL=embedded.",
}


@click.command(cls=TandemCommand)
async def doctor(console: Console) -> ExitCode:
    """Check settings, keys, disk, clock, stores, schema and mirror. Exits with 1 if a check fails."""
    try:
        settings = current_settings()
    except InvalidSettings as error:
        remedy = "Correct it in the environment or in .env. The file .env.example lists every setting."
        results = [CheckResult.failed("settings", f"{each}.", remedy) for each in error.violations]
    else:
        results = [CheckResult.passed("settings", "They are valid.")]
        results += [*_machine(settings)]
        results += [result async for result in _stores(settings)]
    is_fine = all(result.is_fine for result in results)
    view = {"isFine": is_fine, "checks": [_view(result) for result in results]}
    console.show(view, lambda: _print(console, results))
    return ExitCode.SUCCESS if is_fine else ExitCode.DIFFERENCE


def _machine(settings: Settings) -> Iterator[CheckResult]:
    """The checks that need no store."""
    yield _disk(settings.stores.data_dir)
    now = datetime.now(UTC)
    if now < EARLIEST_CREDIBLE:
        remedy = "Set the clock, and keep it right with a time service such as NTP."
        yield CheckResult.failed(
            "clock",
            f"The clock of this machine is at {now:%Y-%m-%d %H:%M} UTC, which is in the past.",
            remedy,
        )
    try:
        build_container(settings).keys()
    except UnusableKey as error:
        yield CheckResult.failed(
            "keys", str(error), "Set PRIVATE_KEY and PUBLIC_KEY to one RS256 key pair in PEM."
        )
    else:
        yield CheckResult.passed("keys", "Tokens can be signed.")


def _disk(data_dir: Path) -> CheckResult:
    """The free space for DATA_DIR, which may not exist yet."""
    present = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
    free = shutil.disk_usage(present).free
    message = f"{free / 1024**3:.1f} GiB are free for {data_dir}."
    if free < FREE_BYTES_MIN:
        return CheckResult.failed(
            "disk", message, "Free some space, or set DATA_DIR to another disk. A full disk stops all writes."
        )
    return CheckResult.passed("disk", message)


async def _stores(settings: Settings) -> AsyncIterator[CheckResult]:
    service = await service_holding_stores(settings)
    if service is not None:
        async for result in _through_service(service, settings):
            yield result
        return
    container = build_container(settings)
    stack = container.stack()
    try:
        async with asyncio.timeout(2 * OPEN_SECONDS_MAX):
            await stack.open(within_seconds=OPEN_SECONDS_MAX)
        async for result in _opened(container, settings):
            yield result
    except UnmigratedStore as error:
        yield CheckResult.failed("schema", str(error), "Type: tandem migrate up")
    except StoreRefused as error:
        yield CheckResult.failed(
            settings.stores.source, str(error), "Follow the message, then type: tandem doctor"
        )
    except (TandemError, TimeoutError) as error:
        yield _unreachable(settings.stores, settings.stores.source, str(error))
    finally:
        await stack.close()


async def _opened(container: Container, settings: Settings) -> AsyncIterator[CheckResult]:
    """The checks of open stores."""
    stores = settings.stores
    facts = await container.stack().facts()
    for component, health in (await container.health_probe().components()).items():
        name = _store_of(stores, component)
        if health.up:
            yield CheckResult.passed(name, _answers(stores, name, facts.get(name)))
        else:
            yield _unreachable(stores, name, health.detail or "")
    for name, store_facts in facts.items():
        if store_facts.clock is not None:
            yield _clock(name, store_facts.clock)
    for state in await container.stack().schema().states():
        current = "has no schema yet" if state.revision is None else f"is at schema {state.revision}"
        message = f"{state.store} {current}; this program needs {state.expected}."
        if state.is_current:
            yield CheckResult.passed("schema", message)
        else:
            yield CheckResult.failed("schema", message, "Type: tandem migrate up")
    client = LocalMirrorClient(container.builder().build(OperateSync), operator(container))
    async for result in _mirror(client):
        yield result


async def _through_service(service: RunningService, settings: Settings) -> AsyncIterator[CheckResult]:
    """The checks through the running service, which holds the stores."""
    yield CheckResult.passed(
        "service", f"It runs at {service.url} (process {service.pid}) and reports on its stores."
    )
    client = ServiceClient(service, settings)
    try:
        health: Mapping[str, Any] = await client.ask("GET", "/v1/health")
        for component, part in health["components"].items():
            name = _store_of(settings.stores, component)
            if part["status"] == "UP":
                yield CheckResult.passed(name, f"{location_of(settings.stores, name)} answers.")
            else:
                yield _unreachable(settings.stores, name, part.get("detail") or "")
        async for result in _mirror(RemoteMirrorClient(client)):
            yield result
    except TandemError as error:
        yield CheckResult.failed("service", error.message, "Read its log, or restart it: tandem serve")


async def _mirror(client: MirrorClient) -> AsyncIterator[CheckResult]:
    metrics: Mapping[str, Any] = await client.metrics()
    if metrics["target"] is None:
        return
    totals = metrics["totals"]
    undelivered = totals["failed"] + totals["parked"]
    age_ms = totals["oldestPendingAgeMs"] or 0
    if undelivered:
        message = f"{totals['failed']} entries failed and {totals['parked']} are parked."
        remedy = "For the reasons, type: tandem sync failures. Then type: tandem sync retry --all"
        yield CheckResult.failed("mirror", message, remedy)
    if metrics["paused"]:
        message = f"It is paused by DUAL_WRITE_ENABLED=false; {totals['pending']} entries are pending."
        remedy = "Set DUAL_WRITE_ENABLED=true and restart. Pending entries are then mirrored."
        yield CheckResult.failed("mirror", message, remedy)
    elif age_ms > PENDING_AGE_MS_MAX:
        message = f"{totals['pending']} entries are pending, the oldest for {age_ms / 1000:.0f} s."
        yield CheckResult.failed(
            "mirror", message, "Start the service (tandem serve) or a worker (tandem worker)."
        )
    elif not undelivered:
        yield CheckResult.passed(
            "mirror", f"{totals['synced']} entries are mirrored and {totals['pending']} are pending."
        )


def _store_of(stores: StoreSettings, component: str) -> str:
    """The store that a component of the health response stands for."""
    return {"db": stores.source, "target": stores.target or component}.get(component, component)


def _answers(stores: StoreSettings, name: str, facts: StoreFacts | None) -> str:
    location = location_of(stores, name)
    if facts is None:
        return f"{location} answers."
    topology = "" if facts.topology is None else f", {facts.topology}"
    return f"{location} answers ({facts.product}{topology})."


def _clock(name: str, clock: datetime) -> CheckResult:
    """The difference between a store's clock and this machine's. It only affects times that people read."""
    skew_seconds = abs((clock - datetime.now(UTC)).total_seconds())
    message = f"Its clock differs from the clock of this machine by {skew_seconds:.1f} s."
    if skew_seconds > CLOCK_SKEW_SECONDS_MAX:
        return CheckResult.failed(name, message, "Keep both clocks right with a time service such as NTP.")
    return CheckResult.passed(name, message)


def _unreachable(stores: StoreSettings, name: str, reason: str) -> CheckResult:
    return CheckResult.failed(
        name, f"{location_of(stores, name)} does not answer. {reason}".strip(), _REMEDIES.get(name)
    )


def _view(result: CheckResult) -> dict[str, object]:
    return {
        "subject": result.subject,
        "isFine": result.is_fine,
        "message": result.message,
        "remedy": result.remedy,
    }


def _print(console: Console, results: list[CheckResult]) -> None:
    for result in results:
        console.line(f"{'ok    ' if result.is_fine else 'FAILED'}  {result.subject}: {result.message}")
        if result.remedy is not None:
            console.line(f"        → {result.remedy}")
    failed = sum(not result.is_fine for result in results)
    console.line("All checks passed." if not failed else f"{failed} of {len(results)} checks failed.")
