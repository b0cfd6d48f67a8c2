"""Under which account the server programs run, because PostgreSQL refuses to run as root.

A plain user runs them as itself. Root hands them to an account without rights (`postgres` if the system has it, else
`nobody`), which then owns the server's directory. Where that account cannot reach the programs or the directory, as
below a home directory closed to others, the programs run in a user namespace in which root has another number. No
account is created and no permission of a directory that is not ours is changed.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.postgres.embedded_programs import EmbeddedPostgresUnavailable, PostgresPrograms

ROOT = 0
PROBE_SECONDS_MAX = 10.0
ACCOUNTS_WITHOUT_RIGHTS = ("postgres", "nobody")
PROBE = 'cd "$1" && test -w . && "$2" --version >/dev/null && "$3" --version >/dev/null'


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """Who runs the server: the owner its files must have, and the words to put before each command line."""

    user_id: int
    group_id: int
    prefix: tuple[str, ...] = ()

    def own(self, path: Path) -> None:
        """Make the account the owner of one file or directory."""
        if os.geteuid() == ROOT:
            os.chown(path, self.user_id, self.group_id)


def choose_account(directory: Path, programs: PostgresPrograms) -> ServerAccount:
    """The account that can run `programs` over the files in `directory`, which it owns afterwards.

    Raises EmbeddedPostgresUnavailable when the directory is another user's, or when root has no account to hand it to.
    """
    if os.geteuid() != ROOT:
        owner = directory.stat().st_uid
        if owner != os.geteuid():
            raise EmbeddedPostgresUnavailable(
                f"{directory} belongs to user {owner}, and this process runs as user {os.geteuid()}. "
                "Run as that user, change the owner, or set DATA_DIR to a directory of your own."
            )
        return ServerAccount(user_id=os.geteuid(), group_id=os.getegid())
    for account in _accounts_for_root(directory):
        if _can_run(account, directory=directory, programs=programs):
            return account
    raise EmbeddedPostgresUnavailable(
        f"PostgreSQL refuses to run as root, and no account without rights can use {programs.folder} and {directory}. "
        "Run as a plain user, move both to a place that every user can enter, or set POSTGRES_URL."
    )


def _accounts_for_root(directory: Path) -> Iterator[ServerAccount]:
    data = directory / "data"
    owner = data.stat().st_uid if data.exists() else None
    setpriv, unshare = shutil.which("setpriv"), shutil.which("unshare")
    if setpriv is not None and owner != ROOT:
        for entry in _entries(owner):
            prefix = (setpriv, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
            yield ServerAccount(user_id=entry.pw_uid, group_id=entry.pw_gid, prefix=prefix)
    if unshare is not None and owner in (None, ROOT):
        for entry in _entries(None):
            prefix = (unshare, "--user", f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}")
            yield ServerAccount(user_id=ROOT, group_id=ROOT, prefix=prefix)


def _entries(owner: int | None) -> Iterator[pwd.struct_passwd]:
    """The accounts to try: the owner of existing data alone, because its files open to nobody else."""
    for entry in pwd.getpwall():
        if entry.pw_uid == owner or (owner is None and entry.pw_name in ACCOUNTS_WITHOUT_RIGHTS):
            yield entry


def _can_run(account: ServerAccount, *, directory: Path, programs: PostgresPrograms) -> bool:
    account.own(directory)
    probe = ["/bin/sh", "-c", PROBE, "sh", str(directory), programs.path("initdb"), programs.path("postgres")]
    try:
        answer = subprocess.run(  # noqa: S603 - the paths are arguments of the script, not part of it
            [*account.prefix, *probe], capture_output=True, timeout=PROBE_SECONDS_MAX, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0
