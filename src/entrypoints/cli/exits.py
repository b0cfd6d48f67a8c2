"""How every command ends: exit codes, and the one place where errors become messages."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import click

from domain.errors import TandemError
from entrypoints.composition.failures import StoreRefused, UnmigratedStore, UnusableKey
from entrypoints.composition.variables import InvalidSettings
from entrypoints.http.protocol.problems import outcome_of

_ACCESS = "Give this user access to it, or name another place with DATA_DIR."
_SYSTEM_REMEDIES = {
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: _ACCESS,
    errno.ENOSPC: "Free some space on this disk.",
    errno.EDQUOT: "Free some space on this disk.",
    errno.EFBIG: "Raise the limit of the size of files: ulimit -f unlimited",
    errno.ENOTDIR: "A file stands where a directory is needed: move it away, or name another place with DATA_DIR.",
    errno.EEXIST: "A file stands where a directory is needed: move it away, or name another place with DATA_DIR.",
    errno.EBADF: "Do not close standard output (>&-): send it to a file, or to /dev/null.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n 4096",
}


class ExitCode(IntEnum):
    """The exit codes that scripts may rely on."""

    SUCCESS = 0
    DIFFERENCE = 1
    """Something differs or failed, or a rule forbids the change."""
    WRONG_USE = 2
    """The arguments, settings or input are wrong; repeating the command changes nothing."""
    UNREACHABLE = 3
    """A store does not answer or must not be used now; repeating the command later may help."""
    INTERNAL_ERROR = 70
    """A bug in Tandem, whose traceback is printed or in the log of the service."""


_EXIT_CODES = {
    408: ExitCode.UNREACHABLE,
    409: ExitCode.DIFFERENCE,
    412: ExitCode.DIFFERENCE,
    429: ExitCode.UNREACHABLE,
    500: ExitCode.INTERNAL_ERROR,
    503: ExitCode.UNREACHABLE,
}
"""By the status that the error has over HTTP, with or without a service; every other one is wrong use."""

EXPECTED_ERRORS = (
    TandemError,
    InvalidSettings,
    StoreRefused,
    UnmigratedStore,
    UnusableKey,
    click.ClickException,
)
"""Every other exception is a bug and is shown with its traceback."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a failed command ends: its exit code, an error code, a message, and one line for each violation."""

    exit_code: ExitCode
    code: str
    message: str
    details: Sequence[str] = ()


def failure_of(error: Exception) -> Failure:
    """The failure that one of the expected errors stands for."""
    if isinstance(error, InvalidSettings):
        message = "These settings are invalid. Correct them in the environment or in .env:"
        return Failure(ExitCode.WRONG_USE, "settings", message, [str(each) for each in error.violations])
    if isinstance(error, click.ClickException):
        return Failure(ExitCode.WRONG_USE, "usage", error.format_message(), _usage_hint(error))
    if isinstance(error, UnusableKey):
        return Failure(ExitCode.WRONG_USE, "key", str(error))
    if isinstance(error, UnmigratedStore):
        return Failure(ExitCode.DIFFERENCE, "unmigrated", str(error))
    if isinstance(error, TandemError):
        violations = [violation.message for violation in error.violations]
        return Failure(_exit_code(error), error.code, error.message, violations)
    return Failure(ExitCode.UNREACHABLE, "store_refused", str(error))


def failure_of_system(error: OSError) -> Failure:
    """The failure that an error of the operating system stands for: a file or a directory that cannot be used."""
    place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    remedy = _SYSTEM_REMEDIES.get(error.errno or 0, "Put that right, and type the command again.")
    return Failure(ExitCode.UNREACHABLE, "system", f"{place}{error.strerror or error}. {remedy}")


def _usage_hint(error: click.ClickException) -> list[str]:
    is_help = isinstance(error, click.exceptions.NoArgsIsHelpError)
    if is_help or not isinstance(error, click.UsageError) or error.ctx is None:
        return []
    return [f"Type: {error.ctx.command_path} --help"]


def _exit_code(error: TandemError) -> ExitCode:
    return _EXIT_CODES.get(outcome_of(type(error)).status, ExitCode.WRONG_USE)
