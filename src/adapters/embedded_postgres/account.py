"""Chooses the account that runs the server, because PostgreSQL refuses to run as root.

Ordinary users run it as themselves. For root it runs in a user namespace that gives root another number; where the
system forbids that, as many containers do, it runs as `nobody`, who then owns the data.
"""

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = 0
PROBE_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """`prefix` precedes every command line; `user` and `group` are numbers, None for those of this process."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def own(self, path: Path) -> None:
        """Makes the account the owner of one file or directory."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)

    def let_pass(self, directory: Path) -> None:
        """Lets another account than that of this process pass a directory of this process; not list or change it."""
        found = directory.stat()
        if self.user is not None and found.st_uid == os.geteuid():
            directory.chmod(found.st_mode | stat.S_IXGRP | stat.S_IXOTH)


def choose_account(data: Path) -> ServerAccount:
    """The owner of the data directory or, where there is none yet, an account that may own it."""
    if os.geteuid() != ROOT:
        return ServerAccount()
    if data.exists() and data.stat().st_uid != ROOT:
        return ServerAccount(user=data.stat().st_uid, group=data.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    prefix = ("unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
    if data.exists() or _can_run(prefix):
        return ServerAccount(prefix=prefix)
    return ServerAccount(user=nobody.pw_uid, group=nobody.pw_gid)


def _can_run(prefix: tuple[str, ...]) -> bool:
    try:
        subprocess.run([*prefix, "true"], capture_output=True, timeout=PROBE_SECONDS_MAX, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return True
