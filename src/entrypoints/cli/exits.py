"""How every command ends: exit codes, and the one place where errors become sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import click

from domain.errors import Conflict, TandemError, Unavailable
from entrypoints.composition.failures import StoreRefused, UnmigratedStore, UnusableKey
from entrypoints.composition.settings import SettingsFaulty


class ExitCode(IntEnum):
    """What a script may rely on."""

    FINE = 0
    DIFFERENCE = 1
    """Something differs, failed, or a guard says no."""
    WRONG_USE = 2
    """Wrong arguments, settings or input; trying again changes nothing."""
    UNREACHABLE = 3
    """A store does not answer or must not be used now; trying again may help."""


EXPECTED_ERRORS = (
    TandemError,
    SettingsFaulty,
    StoreRefused,
    UnmigratedStore,
    UnusableKey,
    click.ClickException,
)
"""Everything else is a fault of the program and shows its traceback."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a command that failed ends: its code, a sentence, and every single fault."""

    exit_code: ExitCode
    code: str
    message: str
    details: Sequence[str] = ()


def failure_of(error: Exception) -> Failure:
    """The end that an expected error means."""
    if isinstance(error, SettingsFaulty):
        return Failure(
            ExitCode.WRONG_USE,
            "settings",
            "These settings cannot be used:",
            [str(fault) for fault in error.violations],
        )
    if isinstance(error, click.ClickException):
        return Failure(ExitCode.WRONG_USE, "usage", error.format_message(), _usage_hint(error))
    if isinstance(error, UnusableKey):
        return Failure(ExitCode.WRONG_USE, "key", str(error))
    if isinstance(error, UnmigratedStore):
        return Failure(ExitCode.DIFFERENCE, "unmigrated", str(error))
    if isinstance(error, TandemError):
        return Failure(
            _exit_code(error), error.code, error.message, [fault.message for fault in error.violations]
        )
    return Failure(ExitCode.UNREACHABLE, "store_refused", str(error))


def _usage_hint(error: click.ClickException) -> list[str]:
    is_help = isinstance(error, click.exceptions.NoArgsIsHelpError)
    if is_help or not isinstance(error, click.UsageError) or error.ctx is None:
        return []
    return [f"Try: {error.ctx.command_path} --help"]


def _exit_code(error: TandemError) -> ExitCode:
    if isinstance(error, Unavailable):
        return ExitCode.UNREACHABLE
    return ExitCode.DIFFERENCE if isinstance(error, Conflict) else ExitCode.WRONG_USE
