"""Runs secantusdb with its own command line, one setting more, and corrections.

secantusdb holds locks while it waits for a transaction, which then waits for these locks for ever; MongoDB lets others
work meanwhile:
- An update or delete of many documents keeps its collection locked. A statement of a second transaction waits for that
  lock, the commit of the first for that statement, and the update for that commit.
- The removal of a database keeps everything locked while it waits for a transaction that wrote to it.
- Whatever begins or ends a transaction waits for the running statements of all others.
- A transaction that its client left open is ended only when another begins or ends.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from secantus import cli
from secantus.server import SecantusDBServer
from secantus.storage import Storage, WriteConflictError, _is_wt_rollback, _retry_write_conflicts, wt
from secantus.transactions import TransactionRegistry

TRANSACTION_SECONDS = 60.0
RETRY_SECONDS = 0.005
EXPIRY_CHECK_SECONDS = 0.5
KEYS_MAX = 1_000
"""How many keys are removed in one transaction."""


def main() -> int:
    """Serves until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("--transaction-seconds", type=float, default=TRANSACTION_SECONDS)
    own, arguments = parser.parse_known_args()
    for name in ("_update_chunk", "_delete_chunk"):
        setattr(Storage, name, _unlocked_while_waiting(getattr(Storage, name).__wrapped__))
    TransactionRegistry._prune_locked = _end_unused
    Storage._delete_keys = _in_transactions(Storage._delete_keys)
    Storage.drop_database = _retry_write_conflicts(Storage.drop_database)
    cli.SecantusDBServer = _server_of(own.transaction_seconds)
    return int(cli.main(arguments))


def _unlocked_while_waiting(write_chunk: Callable[..., Any]) -> Callable[..., Any]:
    """The write of a chunk, retried at a conflict as secantusdb does, but without the caller's lock in between.

    Each attempt is a transaction of its own that reads its documents again, so that others may write them meanwhile.
    """

    def write(storage: Any, database: str, collection: str, *arguments: Any, **options: Any) -> Any:
        while True:
            try:
                return write_chunk(storage, database, collection, *arguments, **options)
            except (WriteConflictError, wt.WiredTigerError) as error:
                if not isinstance(error, WriteConflictError) and not _is_wt_rollback(error):
                    raise
            lock = storage._coll_lock(database, collection)
            lock.release()
            time.sleep(RETRY_SECONDS)
            lock.acquire()

    return write


def _in_transactions(delete_keys: Callable[..., None]) -> Callable[..., None]:
    """The removal of keys that raises at a conflict; without a transaction, WiredTiger itself retries for ever."""

    def delete(storage: Any, table: str, keys: list[tuple[Any, ...]]) -> None:
        for start in range(0, len(keys), KEYS_MAX):
            with storage._batch_transaction():
                delete_keys(storage, table, keys[start : start + KEYS_MAX])

    return delete


def _end_unused(transactions: Any) -> int:
    """Ends the transactions that nobody used for their lifetime; one whose statement runs is in use."""
    latest = transactions._time() - transactions._lifetime
    unused = [one for one in transactions._txns.values() if one.last_use < latest]
    for one in unused:
        if one.mutex.acquire(blocking=False):
            try:
                transactions._abort_locked(one)
            finally:
                one.mutex.release()
    return len(unused)


def _server_of(transaction_seconds: float) -> Callable[..., Any]:
    """Makes servers that end transactions which nobody used for so long."""

    def make(**options: Any) -> Any:
        server = SecantusDBServer(**options, transaction_lifetime_seconds=transaction_seconds)
        threading.Thread(target=_end_expired, args=(server.transactions,), daemon=True).start()
        return server

    return make


def _end_expired(transactions: Any) -> None:
    while True:
        time.sleep(EXPIRY_CHECK_SECONDS)
        transactions.prune_expired()


if __name__ == "__main__":
    sys.exit(main())
