"""Finds tables that reject, or drop, every new row, whatever they do with rows that they hold already.

Where a table holds other rows, one of them is written under a new id after it was deleted: what it holds was accepted
before, so a rule about certain values lets it through. A table without others, or one whose rows cannot be deleted,
must reject two neutral records: one without any value, and one with all of them. Everything is rolled back.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from secrets import randbelow, token_hex
from typing import Any

import psycopg

from adapters.postgres.classification import Meaning, meaning_of
from adapters.postgres.connections import Connections, Transaction
from adapters.postgres.origins import origin_of, raised_by
from adapters.postgres.rehearsed_statements import INSERT_TAKEN, TAKE
from adapters.postgres.rows import encoded_rows
from adapters.postgres.statements import MIRROR_ROWS
from adapters.records.fields import Field, FieldKind
from adapters.records.record import ID, IS_DELETED, VERSION, Record, tombstone
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS, SPECS
from domain.audit import Action, AuditEntry
from domain.errors import TandemError

NUMBERS = 2**40
_TABLES = frozenset(spec.table for spec in SPECS.values())
_ABOUT_SERVER = (Meaning.OUTAGE, Meaning.LOST, Meaning.SILENT)


class NewRows:
    """Tries new rows that nobody wrote."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def are_rejected(self, collection: str, error: TandemError, *, besides: list[str]) -> bool:
        """Whether every new row gets this error, which rows with the ids `besides` have got: from the same place of the
        same function, or by the same constraint. Raises StoreUnavailable for an outage.
        """
        origin = origin_of(error.__cause__)
        if origin is None or meaning_of(error) is Meaning.LOCK or _is_about_another(error, collection):
            return False
        is_slow = meaning_of(error) is Meaning.SLOW
        is_same = True
        # Each attempt at a slow one takes the whole time limit.
        for take in TAKE[collection][:1] if is_slow else TAKE[collection]:
            outcome = await self._moved(collection, take, besides=besides, is_slow=is_slow)
            if isinstance(outcome, int):
                return False
            is_same = is_same and outcome is not None and origin_of(outcome.__cause__) == origin
        if is_same:
            return True
        for record in neutral_records(collection):
            found = await self._error_of(collection, record)
            if found is None or origin_of(found.__cause__) != origin:
                return False
        return True

    async def are_dropped(self, collection: str, *, besides: list[str]) -> bool:
        """Whether a row that the table holds is dropped under a new id. Raises StoreUnavailable for an outage."""
        for take in TAKE[collection]:
            if await self._moved(collection, take, besides=besides) != 0:
                return False
        return True

    async def _moved(
        self, collection: str, take: str, *, besides: list[str], is_slow: bool = False
    ) -> int | TandemError | None:
        """How many rows were stored for one that the table held, or the error; None where it has no other row."""
        try:
            async with self._connections.transaction(is_rehearsal=True) as transaction:
                taken = await (await transaction.run(take, {"ids": besides})).fetchone()
                if taken is None:
                    return None
                if not is_slow:
                    await _replace_count(transaction, collection)
                parameters = {"row": taken[0], "id": token_hex(12)}
                return (await transaction.run(INSERT_TAKEN[collection], parameters)).rowcount
        except TandemError as error:
            await self._require_server(error)
            return error

    async def _error_of(self, collection: str, record: Record) -> TandemError | None:
        try:
            async with self._connections.transaction(is_rehearsal=True) as transaction:
                await transaction.run(MIRROR_ROWS[collection], {"rows": encoded_rows(collection, [record])})
        except TandemError as error:
            await self._require_server(error)
            return error
        return None

    async def _require_server(self, error: TandemError) -> None:
        meaning = meaning_of(error)
        if meaning in _ABOUT_SERVER:
            raise error
        if meaning is Meaning.CLAIM:
            await self._connections.require_writable()


def _is_about_another(error: TandemError, collection: str) -> bool:
    """Whether the statement itself, and no function, met the error in another table of Tandem."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or raised_by(cause) is not None:
        return False
    return cause.diag.table_name in _TABLES - {SPECS[collection].table}


async def _replace_count(transaction: Transaction, collection: str) -> None:
    """Lets the table have as many rows as before one was deleted, since a rule may count them."""
    rows = {"rows": encoded_rows(collection, [tombstone(token_hex(12), 1)])}
    connection = transaction.connection
    await connection.execute("SAVEPOINT counted", prepare=False)
    try:
        await transaction.run(MIRROR_ROWS[collection], rows)
    except psycopg.Error:
        # Not `run`: in a transaction that failed the server takes nothing but this.
        await connection.execute("ROLLBACK TO SAVEPOINT counted", prepare=False)


def neutral_records(collection: str) -> Iterator[Record]:
    """New records about nothing that is there: without a value and with all of them; entries about each collection."""
    if collection == AUDIT_LOGS.collection:
        for spec in ENTITY_SPECS:
            yield neutral_entry(spec.collection, datetime.now(UTC))
        return
    yield tombstone(token_hex(12), 1)
    filled = {field.name: _value_of(field) for field in SPECS[collection].fields}
    yield {**filled, ID: token_hex(12), VERSION: 1, **({IS_DELETED: False} if IS_DELETED in filled else {})}


def neutral_entry(collection: str, at: datetime) -> Record:
    """An entry about a record that does not exist, with nothing in it that a trigger could object to."""
    entry = AuditEntry(
        id=token_hex(12),
        collection=collection,
        entity_id=token_hex(12),
        version=1,
        action=Action.CREATED,
        actor_id=token_hex(12),
        at=at,
        request_id="rehearsal",
        change_set_id=token_hex(12),
        changes={},
    )
    return AUDIT_LOGS.mapping.to_record(entry)


_VALUES: dict[FieldKind, Callable[[], Any]] = {
    FieldKind.TEXT: lambda: token_hex(12),
    FieldKind.INTEGER: lambda: randbelow(NUMBERS),
    FieldKind.BOOLEAN: lambda: False,
    FieldKind.INSTANT: lambda: datetime.now(UTC),
    FieldKind.DAY: lambda: datetime.now(UTC).date().isoformat(),
    FieldKind.JSON: dict,
}


def _value_of(field: Field) -> Any:
    if field.values:
        return field.values[0]
    return [] if field.is_list else _VALUES[field.kind]()
