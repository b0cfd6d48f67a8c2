"""The outcome of a change set that takes a store longer than our own limit."""

from adapters.records.change_set import Blocked, ChangeSet
from adapters.records.specs import AUDIT_LOGS, SPECS


def too_slow(change_set: ChangeSet, limit_ms: float, *, store: str, sqlstate: str | None = None) -> Blocked:
    """The outcome where the change set was alone; `is_slow`, so its table may be slow, or only its own records."""
    entries = ((AUDIT_LOGS.collection, entry_id) for entry_id in change_set.entry_ids)
    collection, record_id = next(change_set.touched(), None) or next(entries)
    cause = f"It takes longer than {limit_ms:.0f} ms to store."
    return Blocked(collection, SPECS[collection].place_in(store), cause, sqlstate, record_id, is_slow=True)


def taking_long(change_set: ChangeSet, limit_ms: float, *, store: str) -> Blocked:
    """The outcome where the store answers others, and change sets of the same tables took longer than a request waits:
    of the one table, or of the first record where there are several.
    """
    collections = {put.collection for put in change_set.puts}
    if len(collections) != 1:
        return too_slow(change_set, limit_ms, store=store)
    (collection,) = collections
    cause = (
        f"A change of it takes longer than {limit_ms:.0f} ms to store, while the store answers others."
        " Unless it is a large one, look for a slow trigger, and for a lock."
    )
    return Blocked(collection, SPECS[collection].place_in(store), cause)
