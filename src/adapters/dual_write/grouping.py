"""Groups entries that depend on each other, and forms batches of change sets with a bounded size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ChangeSet
from adapters.records.record import ID, Record

T = TypeVar("T")
Entries = list[Record]
RecordKey = tuple[str, str]


def key_of(entry: Record) -> RecordKey:
    """The record that an entry is about, as (collection, id)."""
    return entry["collection"], entry["entityId"]


def ids_by_collection(entries: Iterable[Record]) -> dict[str, list[str]]:
    """The ids of the records that the entries are about, each once."""
    ids: dict[str, dict[str, None]] = {}
    for entry in entries:
        ids.setdefault(entry["collection"], {})[entry["entityId"]] = None
    return {collection: list(ordered) for collection, ordered in ids.items()}


def by_change_set(entries: Iterable[Record]) -> list[Entries]:
    """The entries that were committed together, in the order in which each change set first occurs."""
    change_sets: dict[str, Entries] = {}
    for entry in entries:
        change_sets.setdefault(entry["changeSetId"], []).append(entry)
    return list(change_sets.values())


def connected(entries: Iterable[Record]) -> list[Entries]:
    """Groups that share no record and no change set with each other, oldest first."""
    groups: dict[int, Entries] = {}
    group_of: dict[RecordKey, int] = {}
    for number, entry in enumerate(entries):
        keys = (key_of(entry), ("change set", entry["changeSetId"]))
        joined = sorted({group_of[key] for key in keys if key in group_of}) or [number]
        first = joined[0]
        for other in joined[1:]:
            moved = groups.pop(other)
            groups[first] += moved
            for member in moved:
                group_of[key_of(member)] = group_of["change set", member["changeSetId"]] = first
        groups.setdefault(first, []).append(entry)
        group_of.update(dict.fromkeys(keys, first))
    return [sorted(group, key=lambda entry: str(entry[ID])) for group in groups.values()]


def by_tables(parts: Iterable[T], tables_of: Callable[[T], frozenset[str]]) -> list[list[T]]:
    """Those together that concern the same tables, in the order in which each first occurs."""
    together: dict[frozenset[str], list[T]] = {}
    for part in parts:
        together.setdefault(tables_of(part), []).append(part)
    return list(together.values())


def bounded_batches(
    change_sets: Iterable[ChangeSet], settings: DualWriteSettings
) -> Iterator[list[ChangeSet]]:
    """The change sets in order, in batches of a bounded number of records and bytes; a larger one is alone."""
    batch: list[ChangeSet] = []
    records = size = 0
    for change_set in change_sets:
        more_records = max(len(change_set.puts), len(change_set.entries))
        more_bytes = change_set.rough_bytes
        records, size = records + more_records, size + more_bytes
        if batch and (records > settings.batch_records_max or size > settings.batch_bytes_max):
            yield batch
            batch, records, size = [], more_records, more_bytes
        batch.append(change_set)
    if batch:
        yield batch
