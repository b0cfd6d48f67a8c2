"""`tandem doctor`: checks the installation, changes nothing, and names the command to type where a check fails."""

import asyncio
from collections.abc import AsyncIterator

import click

from entrypoints.cli.check_result import CheckResult, one_for_each
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.machine_checks import checks_of_machine
from entrypoints.cli.running_service import ServiceHangs
from entrypoints.cli.session import current_data_dir, current_settings, service_client
from entrypoints.cli.store_checks import checks_of_service, checks_of_stores
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.settings_check import agreement_of
from entrypoints.composition.variables import InvalidSettings

SECONDS_MAX = 4.5
CLIENT_SECONDS_MAX = 3.0
"""Longer than the service takes to check its components."""
CORRECT = "Correct it in the environment or in .env (see .env.example), then type: tandem config check"
LATE = "The checks are not finished, because something does not answer."


@click.command(cls=TandemCommand)
async def doctor(console: Console) -> ExitCode:
    """Check settings, keys, disk, clock, stores, schema, mirror and cache; change nothing.

    Exits with 1 if a check fails, and with 3 if the service or the source cannot be reached. Ends within 5 seconds.
    """
    results: list[CheckResult] = []
    checking = asyncio.ensure_future(_collect(results))
    await asyncio.wait({checking}, timeout=SECONDS_MAX)
    if checking.done():
        checking.result()
    else:
        checking.cancel()
        results.append(
            CheckResult.failed("time", LATE, "Try again in a moment: tandem doctor", is_unreachable=True)
        )
    results = one_for_each(results)
    is_fine = all(result.is_fine for result in results)
    view = {"isFine": is_fine, "checks": [_view(result) for result in results]}
    console.show(view, lambda: _print(console, results))
    if any(result.is_unreachable for result in results):
        return ExitCode.UNREACHABLE
    return ExitCode.SUCCESS if is_fine else ExitCode.DIFFERENCE


async def _collect(results: list[CheckResult]) -> None:
    note = results.append  # one by one, so that what was found is shown even if the rest hangs
    async for result in _checks():
        note(result)


async def _checks() -> AsyncIterator[CheckResult]:
    try:
        data_dir = current_data_dir()
        client = await service_client(timeout_seconds=CLIENT_SECONDS_MAX)
        settings = current_settings() if client is None else None
    except ServiceHangs as error:
        yield CheckResult.failed("service", error.message, "Then type: tandem doctor", is_unreachable=True)
        return
    except InvalidSettings as error:
        for violation in error.violations:
            yield CheckResult.failed("settings", f"{violation}.", CORRECT)
        return
    if settings is not None:
        agreement = await agreement_of(settings)
        if agreement.remedy is not None:
            yield CheckResult.failed("settings", agreement.message, agreement.remedy)
        else:
            yield CheckResult.passed("settings", f"They are valid. {agreement.message}")
    for result in checks_of_machine(data_dir, settings):
        yield result
    found = checks_of_service(client) if client is not None else checks_of_stores(current_settings())
    async for result in found:
        yield result


def _view(result: CheckResult) -> dict[str, object]:
    return {
        "subject": result.subject,
        "isFine": result.is_fine,
        "message": result.message,
        "remedy": result.remedy,
        "isWarning": result.is_warning,
    }


def _print(console: Console, results: list[CheckResult]) -> None:
    for result in results:
        message = result.message.replace("\n", "\n        ")
        outcome = "FAILED" if not result.is_fine else "warn  " if result.is_warning else "ok    "
        console.line(f"{outcome}  {result.subject}: {message}")
        for remedy in (result.remedy or "").splitlines():
            console.line(f"        → {remedy}")
    failed = sum(not result.is_fine for result in results)
    console.line("All checks passed." if not failed else f"{failed} of {len(results)} checks failed.")
