"""What a data directory remembers of the settings, in `installation.json`, so that commands need none.

It holds the variables that say which stores and cache the service uses, and never a password: an address is kept
without one. A command that opens such a store itself takes the password from the environment, from `.env`, or, for
PostgreSQL, from `~/.pgpass`. A command that talks to the running service needs none.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from adapters.auth.keys import KEY_FILE
from adapters.files.directories import make_private_directory
from adapters.files.whole_files import OWNER_ONLY, replace_file
from entrypoints.composition.settings import Settings

INSTALLATION_FILE = "installation.json"
MONGO, POSTGRES = "mongo", "postgres"


def variables_of(settings: Settings) -> dict[str, str]:
    """The variables that describe the stores and the cache of these settings, without any password."""
    stores = settings.stores
    variables = {
        "APP_ENV": settings.environment.value,
        "STORE": stores.kind.value,
        "DUAL_WRITE_SOURCE": None if stores.target is None else stores.source,
        "DUAL_WRITE_TARGET": stores.target,
        "MONTY_STORAGE": "memory" if stores.monty_directory is None else "sqlite",
        "DB_NAME": stores.database,
        "POSTGRES_URL": stores.postgres_url if POSTGRES in stores.named else None,
        "MONGODB_URI": stores.mongodb_uri if MONGO in stores.named else None,
        "CACHE_URL": settings.cache_url,
    }
    return {name: without_password(value) for name, value in variables.items() if value}


def remember(settings: Settings) -> None:
    """Keeps the settings of a service whose stores are open. Raises OSError."""
    kept, path = variables_of(settings), settings.stores.data_dir / INSTALLATION_FILE
    if recalled_from(path) != kept:
        make_private_directory(path.parent)
        replace_file(path, msgspec.json.format(msgspec.json.encode(kept)), mode=OWNER_ONLY)


def is_remembered(settings: Settings) -> bool:
    """Whether these are the settings of the service that used the data directory last, as far as that is known."""
    kept = recalled_from(settings.stores.data_dir / INSTALLATION_FILE)
    return not kept or kept == variables_of(settings)


def is_known(data_dir: Path) -> bool:
    """Whether the data directory remembers any settings."""
    return bool(recalled_from(data_dir / INSTALLATION_FILE))


def recalled(data_dir: Path, given: Mapping[str, str]) -> Mapping[str, str]:
    """The remembered variables; none where the given ones name other stores, whose addresses these are not."""
    kept = recalled_from(data_dir / INSTALLATION_FILE)
    if any(given.get(name, kept.get(name)) != kept.get(name) for name in ("STORE", "MONTY_STORAGE")):
        return {}
    if "POSTGRES_HOST" in given:
        kept.pop("POSTGRES_URL", None)  # the given parts are an address as well
    return kept


def recalled_from(path: Path) -> dict[str, str]:
    """The variables in a file; none where there is no file, or a damaged one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}


def without_password(value: str) -> str:
    """An address without its password; any other value as it is.

    The account ends at the last @ before the first /, as drivers read it: a password may contain ? and #.
    """
    if "://" not in value:
        return value
    scheme, _, rest = value.partition("://")
    authority, slash, path = rest.partition("/")
    account, _, servers = authority.rpartition("@")
    name = account.partition(":")[0]
    place, _, options = f"{servers}{slash}{path}".partition("?")
    kept = "&".join(one for one in options.split("&") if "password" not in one.partition("=")[0].lower())
    return f"{scheme}://{f'{name}@' if name else ''}{place}{f'?{kept}' if kept else ''}"


def has_signing_key(settings: Settings) -> bool:
    """Whether there is a key to check: in the settings, or one that a service has generated."""
    return settings.private_key is not None or (settings.stores.data_dir / KEY_FILE).exists()
