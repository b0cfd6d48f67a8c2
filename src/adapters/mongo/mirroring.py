"""The writes that bring mirrored states into the store: only states that are newer than the stored ones."""

from collections.abc import Container, Iterable, Sequence

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.documents import Document
from adapters.mongo.old_documents import object_ids
from adapters.mongo.writes import Write, document_write
from adapters.records.change_set import ChangeSet, Put
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.legacy_fields import FIRST_VERSION
from adapters.records.record import ID, VERSION, Record
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus

Versions = dict[str, int]


async def mirror_writes(
    database: AsyncDatabase[Document],
    change_sets: Sequence[ChangeSet],
    session: AsyncClientSession,
    *,
    with_object_ids: Container[str] = (),
) -> tuple[list[Write], dict[tuple[str, str], int]]:
    """The writes for the states that are new here, and the versions that are stored, by (collection, id).

    They are read in the transaction that will write.

    The server rejects that transaction if one of these documents changes in the meantime. `with_object_ids` are the
    collections that hold ObjectIds. Raises RuleBroken for a record that does not fit.
    """
    newest = _newest(put for change_set in change_sets for put in change_set.puts)
    entries = {entry[ID]: entry for change_set in change_sets for entry in change_set.entries}
    stored: dict[str, Versions] = {}
    for collection in dict.fromkeys(collection for collection, _ in newest):
        ids = [put.record_id for put in newest.values() if put.collection == collection]
        stored[collection] = await stored_versions(
            database, collection, ids, session=session, has_object_ids=collection in with_object_ids
        )
    known = (
        await stored_versions(database, AUDIT_LOGS.collection, list(entries), session=session)
        if entries
        else {}
    )
    puts = [
        document_write(put.collection, put.record, stored[put.collection].get(put.record_id, 0))
        for put in newest.values()
        if put.version > stored[put.collection].get(put.record_id, 0)
    ]
    held = {
        (collection, id_): version
        for collection, versions in stored.items()
        for id_, version in versions.items()
    }
    return puts + [_entry_write(entry) for entry_id, entry in entries.items() if entry_id not in known], held


async def stored_versions(
    database: AsyncDatabase[Document],
    collection: str,
    ids: Sequence[str],
    *,
    session: AsyncClientSession | None = None,
    has_object_ids: bool = False,
) -> Versions:
    """The version of each document that exists, by id; FIRST_VERSION for documents without one."""
    keys = [*ids, *(object_ids(ids) if has_object_ids else ())]
    cursor = database[collection].find(
        {DOCUMENT_ID: {"$in": keys}}, {VERSION: True}, batch_size=len(keys) + 1, session=session
    )
    versions: Versions = {}
    async for document in cursor:
        # Text ids come before ObjectIds, and win where both exist.
        versions.setdefault(document[DOCUMENT_ID], document.get(VERSION) or FIRST_VERSION)
    return versions


def _newest(puts: Iterable[Put]) -> dict[tuple[str, str], Put]:
    """The highest version of each record, in the order of first appearance."""
    newest: dict[tuple[str, str], Put] = {}
    for put in puts:
        key = (put.collection, put.record_id)
        if key not in newest or newest[key].version < put.version:
            newest[key] = put
    return newest


def _entry_write(entry: Record) -> Write:
    mirrored = {**entry, "syncStatus": SyncStatus.SYNCED.value}
    return document_write(AUDIT_LOGS.collection, mirrored, 0)
