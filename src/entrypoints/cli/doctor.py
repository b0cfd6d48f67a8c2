"""`tandem doctor`: what is wrong here, in plain words, and what to type."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from application.ports.health import StoreFacts
from domain.errors import TandemError
from entrypoints.cli.configuration import place
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.finding import Finding
from entrypoints.cli.mirror_desk import LocalMirrorDesk, MirrorDesk, RemoteMirrorDesk
from entrypoints.cli.running_service import RunningService, ServiceClient, service_in_the_way
from entrypoints.cli.session import current_settings, operator
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.failures import StoreRefused, UnmigratedStore, UnusableKey
from entrypoints.composition.settings import Settings, SettingsFaulty, StoreSettings

OPEN_SECONDS_MAX = 5.0
FREE_BYTES_MIN = 1024**3
PENDING_AGE_MS_MAX = 60_000
CLOCK_SKEW_SECONDS_MAX = 5.0
EARLIEST_CREDIBLE = datetime(2025, 1, 1, tzinfo=UTC)

_REACH = {
    "monty": "Look at DATA_DIR and its rights.",
    "mongo": "Is the server running, and is MONGODB_URI right? Try: docker compose up -d mongo",
    "postgres": "Is the server running, and are POSTGRES_URL or POSTGRES_HOST and the others right? "
    "Try: docker compose up -d postgres, or POSTGRES_URL=embedded",
}


@click.command(cls=TandemCommand)
async def doctor(console: Console) -> ExitCode:
    """Look at settings, keys, disk, clock, stores, schema and mirror. Exits with 1 where something is wrong."""
    try:
        settings = current_settings()
    except SettingsFaulty as error:
        remedy = "Correct it in the environment or in .env; .env.example shows every setting."
        findings = [Finding.wrong("settings", f"{fault}.", remedy) for fault in error.violations]
    else:
        findings = [Finding.fine("settings", "They can be used.")]
        findings += [*_machine(settings)]
        findings += [finding async for finding in _stores(settings)]
    is_fine = all(finding.is_fine for finding in findings)
    view = {"isFine": is_fine, "findings": [_view(finding) for finding in findings]}
    console.show(view, lambda: _print(console, findings))
    return ExitCode.FINE if is_fine else ExitCode.DIFFERENCE


def _machine(settings: Settings) -> Iterator[Finding]:
    """What can be told without asking a store."""
    yield _disk(settings.stores.data_dir)
    now = datetime.now(UTC)
    if now < EARLIEST_CREDIBLE:
        remedy = "Set the clock, and let a time service keep it."
        yield Finding.wrong("clock", f"The clock of this machine says {now:%Y-%m-%d %H:%M} UTC.", remedy)
    try:
        build_container(settings).keys()
    except UnusableKey as error:
        yield Finding.wrong(
            "keys", str(error), "Set PRIVATE_KEY and PUBLIC_KEY to one RS256 key pair in PEM."
        )
    else:
        yield Finding.fine("keys", "Tokens can be signed.")


def _disk(data_dir: Path) -> Finding:
    """Free space where DATA_DIR is or will be."""
    present = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
    free = shutil.disk_usage(present).free
    said = f"{free / 1024**3:.1f} GiB are free for {data_dir}."
    if free < FREE_BYTES_MIN:
        return Finding.wrong(
            "disk", said, "Make room, or point DATA_DIR somewhere else; a full disk stops writes."
        )
    return Finding.fine("disk", said)


async def _stores(settings: Settings) -> AsyncIterator[Finding]:
    service = await service_in_the_way(settings)
    if service is not None:
        async for finding in _through_service(service, settings):
            yield finding
        return
    container = build_container(settings)
    stack = container.stack()
    try:
        async with asyncio.timeout(2 * OPEN_SECONDS_MAX):
            await stack.open(within_seconds=OPEN_SECONDS_MAX)
        async for finding in _opened(container, settings):
            yield finding
    except UnmigratedStore as error:
        yield Finding.wrong("schema", str(error), "Type: tandem migrate up")
    except StoreRefused as error:
        yield Finding.wrong(
            settings.stores.source, str(error), "Do what the sentence says, then: tandem doctor"
        )
    except (TandemError, TimeoutError) as error:
        yield _unreachable(settings.stores, settings.stores.source, str(error))
    finally:
        await stack.close()


async def _opened(container: Container, settings: Settings) -> AsyncIterator[Finding]:
    """What open stores tell."""
    stores = settings.stores
    facts = await container.stack().facts()
    for component, health in (await container.health_probe().components()).items():
        name = _store_of(stores, component)
        if health.up:
            yield Finding.fine(name, _answers(stores, name, facts.get(name)))
        else:
            yield _unreachable(stores, name, health.detail or "")
    for name, told in facts.items():
        if told.clock is not None:
            yield _clock(name, told.clock)
    for state in await container.stack().schema().states():
        said = f"{state.store} is at {state.revision or 'nothing'}; this program needs {state.expected}."
        if state.is_current:
            yield Finding.fine("schema", said)
        else:
            yield Finding.wrong("schema", said, "Type: tandem migrate up")
    async for finding in _mirror(LocalMirrorDesk(container.operate_sync(), operator(container))):
        yield finding


async def _through_service(service: RunningService, settings: Settings) -> AsyncIterator[Finding]:
    """What the running service tells of the stores that it alone can use."""
    yield Finding.fine(
        "service", f"It runs at {service.url} (process {service.pid}) and was asked about its stores."
    )
    client = ServiceClient(service, settings)
    try:
        health: Mapping[str, Any] = await client.ask("GET", "/v1/health")
        for component, part in health["components"].items():
            name = _store_of(settings.stores, component)
            if part["status"] == "UP":
                yield Finding.fine(name, f"It answers: {place(settings.stores, name)}.")
            else:
                yield _unreachable(settings.stores, name, part.get("detail") or "")
        async for finding in _mirror(RemoteMirrorDesk(client)):
            yield finding
    except TandemError as error:
        yield Finding.wrong("service", error.message, "Look at its log, or start it anew: tandem serve")


async def _mirror(desk: MirrorDesk) -> AsyncIterator[Finding]:
    metrics: Mapping[str, Any] = await desk.metrics()
    if metrics["target"] is None:
        return
    totals = metrics["totals"]
    lost = totals["failed"] + totals["parked"]
    age_ms = totals["oldestPendingAgeMs"] or 0
    if lost:
        said = f"{totals['failed']} entries failed and {totals['parked']} are parked."
        yield Finding.wrong("mirror", said, "See why: tandem sync failures. Then: tandem sync retry --all")
    if metrics["paused"]:
        said = f"It is paused by DUAL_WRITE_ENABLED=false; {totals['pending']} entries wait."
        yield Finding.wrong(
            "mirror", said, "Set DUAL_WRITE_ENABLED=true and start anew; what waits is mirrored then."
        )
    elif age_ms > PENDING_AGE_MS_MAX:
        said = f"{totals['pending']} entries wait, the oldest for {age_ms / 1000:.0f} s."
        yield Finding.wrong("mirror", said, "Is the service or a worker running? Start one: tandem worker")
    elif not lost:
        yield Finding.fine(
            "mirror", f"{totals['synced']} entries are mirrored, {totals['pending']} are on their way."
        )


def _store_of(stores: StoreSettings, component: str) -> str:
    """What people call a component of the health answer."""
    return {"db": stores.source, "target": stores.target or component}.get(component, component)


def _answers(stores: StoreSettings, name: str, facts: StoreFacts | None) -> str:
    said = f"It answers: {place(stores, name)}"
    if facts is None:
        return f"{said}."
    topology = "" if facts.topology is None else f", {facts.topology}"
    return f"{said} ({facts.product}{topology})."


def _clock(name: str, clock: datetime) -> Finding:
    """How far a store's clock is from ours; nothing depends on it but the times that people read."""
    skew_seconds = abs((clock - datetime.now(UTC)).total_seconds())
    said = f"Its clock and this machine's differ by {skew_seconds:.1f} s."
    if skew_seconds > CLOCK_SKEW_SECONDS_MAX:
        return Finding.wrong(name, said, "Let a time service keep both clocks.")
    return Finding.fine(name, said)


def _unreachable(stores: StoreSettings, name: str, reason: str) -> Finding:
    return Finding.wrong(name, f"{place(stores, name)} does not answer. {reason}".strip(), _REACH.get(name))


def _view(finding: Finding) -> dict[str, object]:
    values = asdict(finding)
    return {
        "subject": values["subject"],
        "isFine": values["is_fine"],
        "sentence": values["sentence"],
        "remedy": values["remedy"],
    }


def _print(console: Console, findings: list[Finding]) -> None:
    for finding in findings:
        console.line(f"{'fine ' if finding.is_fine else 'WRONG'}  {finding.subject}: {finding.sentence}")
        if finding.remedy is not None:
            console.line(f"       → {finding.remedy}")
    wrong = sum(not finding.is_fine for finding in findings)
    console.line("Nothing is wrong." if not wrong else f"{wrong} of {len(findings)} need you.")
