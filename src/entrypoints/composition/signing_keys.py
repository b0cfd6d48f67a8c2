"""Whether the signing keys in the settings are keys, and belong together."""

from collections.abc import Iterator
from pathlib import Path

from adapters.auth.keys import (
    KEY_FILE,
    UnusableKey,
    load_key_pair,
    public_keys_of,
)
from entrypoints.composition.variables import SettingViolation


def key_violations(
    private_key: str | None, public_key: str | None, *, development_directory: Path | None
) -> Iterator[SettingViolation]:
    """The reasons for which these PEM texts cannot sign and verify tokens.

    With `development_directory`, its generated key is rejected too: it may be in every copy of that directory.
    """
    violations = [*_private_violations(private_key, public_key), *_public_violations(public_key)]
    if not violations and private_key is not None:
        try:
            load_key_pair(private_key, public_key)
        except UnusableKey as error:
            violations.append(_violation(error))
    if not violations and development_directory is not None and private_key is not None:
        violations += _development_violations(private_key, development_directory)
    yield from violations


def _private_violations(private_key: str | None, public_key: str | None) -> Iterator[SettingViolation]:
    try:
        if private_key is not None or public_key is not None:
            load_key_pair(private_key, None if private_key is not None else public_key)
    except UnusableKey as error:
        yield _violation(error)


def _public_violations(public_key: str | None) -> Iterator[SettingViolation]:
    try:
        if public_key is not None:
            public_keys_of(public_key)
    except UnusableKey as error:
        yield _violation(error)


def _development_violations(private_key: str, directory: Path) -> Iterator[SettingViolation]:
    try:
        generated = (directory / KEY_FILE).read_text("ascii")
        is_same = load_key_pair(generated, None).key_id == load_key_pair(private_key, None).key_id
    except (OSError, ValueError, UnusableKey):
        return
    if is_same:
        yield SettingViolation(
            "PRIVATE_KEY",
            f"is the key that development generated in {directory / KEY_FILE}; generate another for production",
        )


def _violation(error: UnusableKey) -> SettingViolation:
    variable, _, message = str(error).partition(" ")
    return SettingViolation(variable, message.rstrip("."))
