"""Applying change sets where this store is the target: idempotent, in any order, one statement for many."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence

from adapters.postgres.connections import Connections
from adapters.postgres.contention import retried
from adapters.postgres.errors import AnswerLost, ConnectionBroken, TookTooLong, translated
from adapters.postgres.rows import FORMS, encoded_rows
from adapters.postgres.statements import (
    ENTRIES_PARAMETER,
    MIRRORED_ENTRY_AT,
    RELEASE,
    mirror_many,
    mirror_one,
)
from adapters.records.change_set import ChangeSet, Rejection
from adapters.records.record import Record
from adapters.records.record_store import REASON_LENGTH_MAX
from adapters.records.specs import AUDIT_LOGS
from domain.errors import AlreadyExists, RuleBroken

STATEMENT_ROWS_MAX = 1_000
"""Rows in one statement, unless a single change set has more."""
STATEMENT_BYTES_MAX = 1_048_576
"""About how many bytes are in one statement, unless a single change set has more: building search vectors is slow."""

Statement = tuple[str, dict[str, str]]


class TargetWrites:
    """The apply of a record store."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Rejection | None]:
        """See RecordStore.apply. Raises AlreadyExists or RuleBroken for one of several, without saying which."""
        if len(change_sets) == 1:
            return [await self._apply_alone(change_sets[0])]
        for part in _parts(change_sets):
            await self._in_time(self._write, part)
        return [None] * len(change_sets)

    async def _apply_alone(self, change_set: ChangeSet) -> Rejection | None:
        try:
            try:
                await self._in_time(self._write, [change_set])
            except AlreadyExists:
                # Records of one change set may swap their unique values, so replaced rows are deleted first.
                if len(change_set.puts) == 1:
                    raise
                await self._in_time(self._write_released, [change_set])
        except (AlreadyExists, RuleBroken) as fault:
            return Rejection(_reason(fault))
        return None

    async def _in_time(
        self, write: Callable[[Sequence[ChangeSet]], Awaitable[None]], change_sets: Sequence[ChangeSet]
    ) -> None:
        """Writes. A timeout while the server answers a ping is a rejection and no outage."""
        try:
            await retried(lambda: write(change_sets))
        except ConnectionBroken:
            raise
        except (TookTooLong, AnswerLost) as slow:
            await self._connections.ping()
            limit_ms = self._connections.statement_timeout_ms
            raise RuleBroken(f"It takes longer than {limit_ms} ms to store.") from slow

    async def _write(self, change_sets: Sequence[ChangeSet]) -> None:
        if len(change_sets) == 1 and len(change_sets[0].puts) == len(change_sets[0].entries) == 1:
            await self._write_one(change_sets[0])
            return
        with translated():
            statement, parameters = _mirror_statement(change_sets)
        await self._connections.run(statement, parameters)

    async def _write_one(self, change_set: ChangeSet) -> None:
        (put,), (entry,) = change_set.puts, change_set.entries
        with translated():
            entry_values = FORMS[AUDIT_LOGS.collection].values(entry)
            values = FORMS[put.collection].values(put.record)
        values += [entry_values[place] for place in MIRRORED_ENTRY_AT]
        await self._connections.change(mirror_one(put.collection), values)

    async def _write_released(self, change_sets: Sequence[ChangeSet]) -> None:
        with translated():
            statement, parameters = _mirror_statement(change_sets)
        async with self._connections.transaction() as transaction:
            for collection, rows in parameters.items():
                if collection != ENTRIES_PARAMETER:
                    await transaction.run(RELEASE[collection], {"rows": rows})
            await transaction.run(statement, parameters)


def _parts(change_sets: Sequence[ChangeSet]) -> Iterator[Sequence[ChangeSet]]:
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


def _mirror_statement(change_sets: Sequence[ChangeSet]) -> Statement:
    """One statement for all; text and parameters. Raises Unstorable."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for change_set in change_sets:
        for put in change_set.puts:
            groups[put.collection].append(put.record)
    parameters = {collection: encoded_rows(collection, groups[collection]) for collection in sorted(groups)}
    entries = [entry for change_set in change_sets for entry in change_set.entries]
    parameters[ENTRIES_PARAMETER] = encoded_rows(AUDIT_LOGS.collection, entries)
    return mirror_many(tuple(sorted(groups))), parameters


def _reason(error: AlreadyExists | RuleBroken) -> str:
    fields = f" ({', '.join(error.fields)})" if isinstance(error, AlreadyExists) else ""
    return f"{error.message}{fields}"[:REASON_LENGTH_MAX]
