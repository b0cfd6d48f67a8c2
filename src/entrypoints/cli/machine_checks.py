"""The checks of `tandem doctor` that need no store: disk, clock and keys."""

import os
import resource
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from entrypoints.cli.check_result import CheckResult
from entrypoints.composition.container import build_container
from entrypoints.composition.failures import UnusableKey
from entrypoints.composition.installation import has_signing_key
from entrypoints.composition.settings import Settings

FREE_BYTES_MIN = 1024**3
FREE_INODES_MIN = 1_000
OPEN_FILES_MIN = 128
"""Stores, connections of twenty people, and the cache; with fewer, requests are turned away early."""
STORE_DIRECTORIES = ("monty", "postgres")
EARLIEST_CREDIBLE = datetime(2025, 1, 1, tzinfo=UTC)


def checks_of_machine(data_dir: Path, settings: Settings | None) -> Iterator[CheckResult]:
    """Changes nothing. Without settings the keys are left out: a service that runs has shown that it can sign."""
    yield _disk(data_dir)
    yield from _directories(data_dir, settings)
    yield from _open_files()
    now = datetime.now(UTC)
    if now < EARLIEST_CREDIBLE:
        yield CheckResult.failed(
            "clock",
            f"The clock of this machine is at {now:%Y-%m-%d %H:%M} UTC, which is in the past.",
            "To set it, type: timedatectl set-ntp true",
        )
    if settings is not None:
        yield _keys(settings)


def _disk(data_dir: Path) -> CheckResult:
    """The free space for DATA_DIR, which may not exist yet."""
    try:
        present = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
        free = shutil.disk_usage(present).free
    except OSError as error:
        return CheckResult.failed(
            "disk", f"{data_dir} cannot be read ({error.strerror}).", f"To see why, type: ls -ld {data_dir}"
        )
    message = f"{free / 1024**3:.1f} GiB are free for {data_dir}."
    if free < FREE_BYTES_MIN:
        remedy = f"A full disk stops all writes. To see what takes the space, type: du -sh {data_dir}/*"
        return CheckResult.failed("disk", message, remedy)
    return CheckResult.passed("disk", message)


def _directories(data_dir: Path, settings: Settings | None) -> Iterator[CheckResult]:
    """What is wrong with the directories that hold a store, or will. Other data may lie where nobody can write."""
    stores = [path for name in STORE_DIRECTORIES if (path := data_dir.absolute() / name).is_dir()]
    if not stores and settings is not None and _is_kept_in_files(settings):
        parents = (data_dir.absolute(), *data_dir.absolute().parents)
        stores = [next(path for path in parents if path.exists())]
    for path in stores:
        found = os.statvfs(path)
        if found.f_flag & os.ST_RDONLY or not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
            yield CheckResult.failed(
                "disk",
                f"Nothing can be written in {path}, so a store there cannot be used.",
                f"To see why, type: ls -ld {path}; findmnt --target {path}",
            )
        if found.f_files and found.f_favail < FREE_INODES_MIN:
            yield CheckResult.failed(
                "disk",
                f"{found.f_favail} more files can be made in {path}.",
                f"Remove some. To see who has how many, type: du --inodes -d 1 {path.parent}",
            )


def _is_kept_in_files(settings: Settings) -> bool:
    stores = settings.stores
    return ("monty" in stores.named and stores.monty_directory is not None) or (
        "postgres" in stores.named and stores.postgres_url == "embedded"
    )


def _open_files() -> Iterator[CheckResult]:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < OPEN_FILES_MIN:
        yield CheckResult.warned(
            "open files",
            f"A process may have {limit} files open here; the service needs up to {OPEN_FILES_MIN}.",
            "Before you start it, type: ulimit -n 4096",
        )


def _keys(settings: Settings) -> CheckResult:
    if not has_signing_key(settings):
        return CheckResult.passed(
            "keys", "There is none yet; the service generates one when it first starts."
        )
    remedy = "Set PRIVATE_KEY and PUBLIC_KEY to one RS256 key pair in PEM, then type: tandem config check"
    try:
        build_container(settings).keys()
    except UnusableKey as error:
        return CheckResult.failed("keys", str(error), remedy)
    except OSError as error:
        return CheckResult.failed(
            "keys",
            f"The signing key cannot be read ({error.strerror}).",
            f"To see why, type: ls -l {settings.stores.data_dir}",
        )
    return CheckResult.passed("keys", "Tokens can be signed.")
