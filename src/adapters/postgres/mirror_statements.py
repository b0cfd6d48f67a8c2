"""Change sets as statements: parts of a bounded size, and the text and parameters of each."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from adapters.postgres.lane_statements import arrival_parameters
from adapters.postgres.rows import encoded_rows
from adapters.postgres.statements import ENTRIES_PARAMETER, mirror_many
from adapters.records.change_set import ChangeSet
from adapters.records.lane_slots import Slot
from adapters.records.lanes import seen_in
from adapters.records.record import Record
from adapters.records.specs import AUDIT_LOGS

STATEMENT_ROWS_MAX = 1_000
"""Rows in one statement, unless a single change set has more."""
STATEMENT_BYTES_MAX = 1_048_576
"""About how many bytes are in one statement, unless a single change set has more: building search vectors is slow."""

Statement = tuple[str, dict[str, Any]]


def rows_in(change_sets: Sequence[ChangeSet]) -> int:
    """How many rows are written where all of them are new."""
    records = {key for change_set in change_sets for key in change_set.touched()}
    entries = {id_ for change_set in change_sets for id_ in change_set.entry_ids}
    return len(records) + len(entries)


def parts(change_sets: Sequence[ChangeSet]) -> Iterator[Sequence[ChangeSet]]:
    """The change sets in parts of a bounded number of rows and bytes."""
    part: list[ChangeSet] = []
    rows = size = 0
    for change_set in change_sets:
        more_rows, more_bytes = len(change_set.puts) + len(change_set.entries), change_set.rough_bytes
        if part and (rows + more_rows > STATEMENT_ROWS_MAX or size + more_bytes > STATEMENT_BYTES_MAX):
            yield part
            part, rows, size = [], 0, 0
        part.append(change_set)
        rows += more_rows
        size += more_bytes
    if part:
        yield part


def mirror_statement(change_sets: Sequence[ChangeSet], slot: Slot | None) -> Statement:
    """One statement for all; text and parameters. Raises Unstorable."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for change_set in change_sets:
        for put in change_set.puts:
            groups[put.collection].append(put.record)
    parameters: dict[str, Any] = {
        collection: encoded_rows(collection, groups[collection]) for collection in sorted(groups)
    }
    entries = [entry for change_set in change_sets for entry in change_set.entries]
    parameters[ENTRIES_PARAMETER] = encoded_rows(AUDIT_LOGS.collection, entries)
    seen = seen_in(change_sets)
    parameters |= arrival_parameters(None if slot is None else slot.next, seen)
    return mirror_many(tuple(sorted(groups)), has_lane=slot is not None, has_seen=bool(seen)), parameters
