"""The error for a transaction that the server rejected, and whether its change set was stored nevertheless."""

from collections.abc import Container, Sequence

from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.documents import Document
from adapters.mongo.errors import DuplicateKey, HandMadeRule, StaleVersion, ValidationFailed
from adapters.mongo.hand_made_rules import hand_made_rule
from adapters.mongo.mirroring import stored_versions
from adapters.mongo.writes import AnyWrite, Write
from adapters.records.change_set import ChangeSet, taken_reason
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.record import ID
from adapters.records.record_store import REASON_LENGTH_MAX
from adapters.records.specs import AUDIT_LOGS
from domain.errors import AlreadyExists, Conflict, RuleBroken, VersionConflict

WriteFailure = DuplicateKey | StaleVersion | ValidationFailed
"""The exceptions for a write that the server rejected."""


async def is_stored(database: AsyncDatabase[Document], writes: Sequence[AnyWrite]) -> bool:
    """Whether this very change set is stored. Every commit has new entries, so their ids identify it."""
    documents = [write for write in writes if isinstance(write, Write)]
    entries = [write for write in documents if write.collection == AUDIT_LOGS.collection]
    for write in entries or documents:
        stored = await database[write.collection].find_one({DOCUMENT_ID: write.document[DOCUMENT_ID]})
        if stored is None or (not entries and stored != write.document):
            return False
    return True


async def rejection_of(
    database: AsyncDatabase[Document],
    change_set: ChangeSet,
    failure: WriteFailure,
    *,
    with_object_ids: Container[str],
) -> Conflict | RuleBroken | HandMadeRule:
    """The error to raise: a record with another version, a taken unique value, a document that does not fit, or what
    somebody added by hand.
    """
    expected = [(put.collection, put.record_id, put.expected_version) for put in change_set.puts]
    guarded = [(check.collection, check.record_id, check.version) for check in change_set.read_checks]
    for collection, record_id, version in guarded + expected:
        has_object_ids = collection in with_object_ids
        versions = await stored_versions(database, collection, [record_id], has_object_ids=has_object_ids)
        current = versions.get(record_id, 0)
        if current != version:
            return VersionConflict(current_version=current, collection=collection, entity_id=record_id)
    if (hand_made := await hand_made_rule(database, failure)) is not None:
        return hand_made
    if isinstance(failure, ValidationFailed):
        return unfit(failure)
    if isinstance(failure, DuplicateKey) and not _is_doubled_put(change_set, failure):
        return AlreadyExists(fields=record_fields(failure))
    return VersionConflict()


def may_be_old(rejection: Conflict | RuleBroken | HandMadeRule) -> bool:
    """Whether only a document in an old format, or under an ObjectId, can explain the rejection."""
    return isinstance(rejection, RuleBroken) or (
        isinstance(rejection, VersionConflict) and rejection.current_version is None
    )


def unfit(failure: ValidationFailed) -> RuleBroken:
    """The error for a document that the server's validator rejects."""
    return RuleBroken(
        f"The record does not pass the validator of {failure.collection}; run `tandem migrate status` to see why."
    )


def record_fields(failure: DuplicateKey) -> tuple[str, ...]:
    """The record fields of the unique key that is taken."""
    return tuple(ID if name == DOCUMENT_ID else name for name in failure.fields)


def reason_of(error: AlreadyExists | RuleBroken) -> str:
    """The reason for a Rejection."""
    if isinstance(error, AlreadyExists):
        return taken_reason(error.fields)[:REASON_LENGTH_MAX]
    return error.message[:REASON_LENGTH_MAX]


def _is_doubled_put(change_set: ChangeSet, failure: DuplicateKey) -> bool:
    return failure.fields == (DOCUMENT_ID,) and any(
        put.collection == failure.collection for put in change_set.puts
    )
