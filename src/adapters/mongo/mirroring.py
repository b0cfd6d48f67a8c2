"""Which writes bring mirrored states into the store: only what is newer than what it holds."""

from collections.abc import Iterable, Sequence

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.documents import DOCUMENT_ID, Document, to_document
from adapters.mongo.writes import Write
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus

Versions = dict[str, int]


async def mirror_writes(
    database: AsyncDatabase[Document], change_sets: Sequence[ChangeSet], session: AsyncClientSession
) -> list[Write]:
    """What of the change sets is new here, read in the transaction that is to write it.

    Whoever changes one of these documents in the meantime makes the server refuse that transaction.
    """
    newest = _newest(put for change_set in change_sets for put in change_set.puts)
    entries = {entry[ID]: entry for change_set in change_sets for entry in change_set.entries}
    stored: dict[str, Versions] = {}
    for collection in dict.fromkeys(collection for collection, _ in newest):
        ids = [put.record_id for put in newest.values() if put.collection == collection]
        stored[collection] = await stored_versions(database, collection, ids, session=session)
    known = (
        await stored_versions(database, AUDIT_LOGS.collection, list(entries), session=session)
        if entries
        else {}
    )
    puts = [
        Write(
            put.collection,
            to_document(put.collection, put.record),
            stored[put.collection].get(put.record_id, 0),
        )
        for put in newest.values()
        if put.version > stored[put.collection].get(put.record_id, 0)
    ]
    return puts + [_entry_write(entry) for entry_id, entry in entries.items() if entry_id not in known]


async def stored_versions(
    database: AsyncDatabase[Document],
    collection: str,
    ids: Sequence[str],
    *,
    session: AsyncClientSession | None = None,
) -> Versions:
    """The version of each document that exists, by id."""
    wanted = {DOCUMENT_ID: {"$in": list(ids)}}
    cursor = database[collection].find(wanted, {VERSION: True}, batch_size=len(ids) + 1, session=session)
    return {document[DOCUMENT_ID]: document[VERSION] async for document in cursor}


def _newest(puts: Iterable[Put]) -> dict[tuple[str, str], Put]:
    """The highest version of each record, in the order in which the records first came."""
    newest: dict[tuple[str, str], Put] = {}
    for put in puts:
        key = (put.collection, put.record_id)
        if key not in newest or newest[key].version < put.version:
            newest[key] = put
    return newest


def _entry_write(entry: Record) -> Write:
    mirrored = {**entry, "syncStatus": SyncStatus.SYNCED.value}
    return Write(AUDIT_LOGS.collection, to_document(AUDIT_LOGS.collection, mirrored), 0)
