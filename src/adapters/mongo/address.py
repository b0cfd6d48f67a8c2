"""What is wrong with an address of a MongoDB deployment, in words that never repeat a part of it."""

import warnings

from pymongo.errors import PyMongoError

from adapters.mongo.client import new_client
from adapters.records.addresses import is_cut_short

UNREADABLE = (
    "cannot be read. Write special characters of the account and the password percent-encoded (%25 for %, %40 for @,"
    " %2F for /, %3A for :), a port from 1 to 65535, an IPv6 address in brackets, and only options that MongoDB has,"
    " with values that they can have"
)
UNUSABLE_FILE = (
    "names a file, such as tlsCAFile, that cannot be read. Correct its path, or give this user access to it"
)
TRIED_MS = 1


def flaw_of(uri: str) -> str | None:
    """What to change in the address; None if the driver can read it. Nothing is connected or looked up."""
    try:
        with warnings.catch_warnings():
            # The driver would ignore an option that it cannot use, also one that asks for encryption.
            warnings.simplefilter("error", UserWarning)
            new_client(uri, timeout_ms=TRIED_MS, pool_max=1)
    except OSError:
        return UNUSABLE_FILE
    except (PyMongoError, ValueError, TypeError, UserWarning):
        return UNREADABLE
    return UNREADABLE if is_cut_short(uri) else None
